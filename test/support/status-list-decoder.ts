import { inflateSync } from 'node:zlib'
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'

// What somebody else's verifier does with a Status List Token, written from draft-ietf-oauth-status-list-20 and nothing of
// ours: so that our writer and our reader cannot be wrong together.

export interface DecodedList {
  readonly bits: number
  /** Uncompressed. */
  readonly bytes: Uint8Array
}

/** §4.2: a Status List in JSON. */
export function decodeStatusList(value: unknown): DecodedList {
  if (typeof value !== 'object' || value === null) throw new Error('status_list is no object')
  const { bits, lst } = value as Record<string, unknown>
  if (bits !== 1 && bits !== 2 && bits !== 4 && bits !== 8) throw new Error('bits must be 1, 2, 4 or 8')
  if (typeof lst !== 'string' || !/^[A-Za-z0-9_-]+$/.test(lst)) throw new Error('lst is not in base64url')
  // §4.1, step 4: DEFLATE in the ZLIB format. Bounded: a list that claims to be endless must not fill the memory.
  return { bits, bytes: inflateSync(Buffer.from(lst, 'base64url'), { maxOutputLength: 2 ** 24 }) }
}

/** §4.1, step 3: blocks of bits, packed into a byte from its least significant bit. §8.3, step 6: none beyond its end. */
export function statusAt({ bits, bytes }: DecodedList, index: number): number {
  const inByte = 8 / bits
  const byte = bytes[Math.trunc(index / inByte)]
  if (byte === undefined) throw new Error('the index is out of bounds: the token must be rejected')
  const shift = (index % inByte) * bits
  return Math.trunc(byte / 2 ** shift) % 2 ** bits
}

export interface ReadOptions {
  readonly jwks: JSONWebKeySet
  readonly issuer: string
  /** From the token that names the list. */
  readonly uri: string
  readonly now: Date
}

export interface StatusListToken {
  readonly list: DecodedList
  readonly iat: number
  readonly exp: number
  readonly ttl: number
}

/** §5.1 and §8.3, steps 3 to 5. */
export async function readStatusListToken(
  jwt: string,
  { jwks, issuer, uri, now }: ReadOptions,
): Promise<StatusListToken> {
  const { payload } = await jwtVerify(jwt, createLocalJWKSet(jwks), {
    typ: 'statuslist+jwt',
    issuer,
    subject: uri,
    requiredClaims: ['iat', 'exp', 'ttl', 'status_list'],
    currentDate: now,
  })
  const { iat, exp, ttl, status_list } = payload
  if (typeof ttl !== 'number' || ttl <= 0) throw new Error('ttl must be a positive number')
  return { list: decodeStatusList(status_list), iat: Number(iat), exp: Number(exp), ttl }
}

/** §6.2. */
export interface StatusReference {
  readonly idx: number
  readonly uri: string
}

export function referenceOf(claims: Readonly<Record<string, unknown>>): StatusReference {
  const { status } = claims as { status?: { status_list?: { idx?: unknown; uri?: unknown } } }
  const { idx, uri } = status?.status_list ?? {}
  if (typeof idx !== 'number' || !Number.isSafeInteger(idx) || idx < 0) throw new Error('there is no idx')
  if (typeof uri !== 'string') throw new Error('there is no uri')
  return { idx, uri }
}
