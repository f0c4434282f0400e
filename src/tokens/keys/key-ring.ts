import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { calculateJwkThumbprint, type JWK } from 'jose'
import { actOf, type By, newEvent } from '../../audit/index.js'
import type { Clock } from '../../platform/clock.js'
import type { Config } from '../../platform/config/index.js'
import { decrypt, encrypt } from '../../platform/crypto/encryption.js'
import { sha256 } from '../../platform/crypto/hash.js'
import type { MasterKey } from '../../platform/crypto/master-key.js'
import { oneAtATime } from '../../platform/one-at-a-time.js'
import type { Random } from '../../platform/random.js'
import { wrongMasterKey } from '../../secrets/index.js'
import { auditEvents, type Database, type SigningKeyRow, signingKeys } from '../../store/index.js'
import {
  generatePrivateKey,
  isSigningAlg,
  publicJwk,
  type SigningAlg,
  signAtOnce,
  signOnThreadPool,
  signsOnEventLoop,
  verifySignature,
} from './algorithms.js'
import { createCryptoBatch } from './crypto-batch.js'

/** Signing keys: in memory, refreshed when another process changes them. */
export interface KeyRing {
  /** A JWS in compact form. @throws when there is no key for the algorithm */
  readonly sign: (claims: object, options: { readonly alg: SigningAlg; readonly typ: string }) => Promise<string>
  /**
   * The claims of a token that one of our published keys signed, in the one spelling that we gave it.
   *
   * @returns undefined for any other; expiry, audience and revocation are not asked here
   */
  readonly verify: (token: string, typ: string) => Promise<Readonly<Record<string, unknown>> | undefined>
  /** RFC 7517 §5: those that sign, will sign, or have signed what may still be alive. */
  readonly jwks: () => { readonly keys: readonly JWK[] }
  readonly list: () => readonly SigningKey[]
  /** Makes a key for each algorithm that has none. */
  readonly ensure: (algs: Iterable<SigningAlg>) => Promise<void>
  /**
   * Brings the successor of each key that is due: published first, signing later. The old one stays published until the
   * last token that it signed has expired.
   *
   * @param when `next`: also where none is due yet; `now`: all successors sign at once
   * @param by for the audit
   * @returns the `kid`s that were made
   */
  readonly rotate: (when: 'due' | 'next' | 'now', by: By) => Promise<readonly string[]>
  readonly refresh: () => Promise<void>
}

export interface SigningKey {
  readonly kid: string
  readonly alg: SigningAlg
  readonly createdAt: Date
  readonly activeAt: Date
  readonly retiredAt?: Date | undefined
  readonly expiresAt?: Date | undefined
}

interface LoadedKey extends SigningKey {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  readonly jwk: JWK
}

export interface KeyRingOptions {
  readonly db: Database
  readonly masterKey: MasterKey
  readonly clock: Clock
  readonly random: Random
  readonly config: Config
  /** Seconds: the longest that a token may live. */
  readonly longestToken: number
}

/** The parts of a token that one of our keys may have signed. */
interface Signed {
  readonly key: LoadedKey
  readonly payload: string
  readonly input: Buffer
  readonly signature: Buffer
}

/** A token whose signature was checked. */
interface VerifiedToken {
  readonly kid: string
  readonly claims: Readonly<Record<string, unknown>>
}

const verifiedCapacity = 10_000

/** Of one run: about 2 ms. */
const runOf = { signatures: 64, verifications: 32 }

/** Seconds that clocks of verifiers and processes may differ. */
const skew = 60

export function createKeyRing(options: KeyRingOptions): KeyRing {
  const { db, clock, config } = options
  let keys: readonly LoadedKey[] = []
  const signInBatch = createCryptoBatch(
    ({ alg, privateKey, data }: { alg: 'ES256' | 'EdDSA'; privateKey: KeyObject; data: Buffer }) =>
      signAtOnce(alg, privateKey, data),
    runOf.signatures,
  )
  const verifyInBatch = createCryptoBatch(
    ({ key, input, signature }: Signed) => verifySignature(key.alg, key.publicKey, input, signature),
    runOf.verifications,
  )
  const headers = new Map<string, string>()
  const verified = new Map<string, VerifiedToken>()

  function signingKey(alg: SigningAlg): LoadedKey {
    const now = clock.now()
    // A clock that was set back must not leave us without a key: then the first of those to come signs (attack 133).
    let found: LoadedKey | undefined
    for (const key of keys) {
      if (key.alg !== alg || (key.retiredAt && key.retiredAt <= now)) continue
      if (!found || key.activeAt <= now) found = key
    }
    if (!found) throw new Error(`there is no signing key for ${alg}`)
    return found
  }

  function publishedKeys(): readonly LoadedKey[] {
    const now = clock.now()
    return keys.filter(({ expiresAt }) => !expiresAt || expiresAt > now)
  }

  function encodedHeader(alg: SigningAlg, typ: string, kid: string): string {
    const id = `${typ} ${kid}`
    const known = headers.get(id)
    if (known !== undefined) return known
    const header = Buffer.from(JSON.stringify({ alg, typ, kid })).toString('base64url')
    headers.set(id, header)
    return header
  }

  /**
   * Its header is one that we write, letter by letter: so the algorithm is the key's and never the token's word (RFC 8725
   * §3.1), and there is neither `crit` nor `b64` nor a key that the token brings along (attack 77).
   */
  function readSigned(token: string, typ: string): Signed | undefined {
    const [, header, payload, encoded] = compact.exec(token) ?? []
    if (header === undefined || payload === undefined || encoded === undefined) return undefined
    const key = publishedKeys().find(({ alg, kid }) => encodedHeader(alg, typ, kid) === header)
    if (!key) return undefined
    const signature = Buffer.from(encoded, 'base64url')
    // Decoders let padding and unused bits through. The signature covers the other parts, but not its own spelling.
    if (signature.toString('base64url') !== encoded) return undefined
    return { key, payload, input: Buffer.from(`${header}.${payload}`, 'latin1'), signature }
  }

  const refresh = oneAtATime(async () => {
    const known = new Map(keys.map((key) => [key.kid, key]))
    keys = (await signingKeys.list(db, clock.now())).map((row) => {
      const loaded = known.get(row.kid)
      return loaded
        ? { ...loaded, activeAt: row.activeAt, retiredAt: row.retiredAt, expiresAt: row.expiresAt }
        : load(options.masterKey, row)
    })
  })

  return {
    async sign(claims, { alg, typ }) {
      const key = signingKey(alg)
      const payload = Buffer.from(JSON.stringify(claims)).toString('base64url')
      const input = `${encodedHeader(alg, typ, key.kid)}.${payload}`
      const data = Buffer.from(input, 'latin1')
      const signature = signsOnEventLoop(alg)
        ? await signInBatch({ alg, privateKey: key.privateKey, data })
        : await signOnThreadPool(alg, key.privateKey, data)
      return `${input}.${signature.toString('base64url')}`
    },

    async verify(token, typ) {
      // A resource server asks for the same token again and again.
      const id = `${typ} ${sha256(token).toString('base64')}`
      const known = verified.get(id)
      // What a key signed ends with the key, remembered or not: it may have been stolen (attack 79).
      if (known) return publishedKeys().some(({ kid }) => kid === known.kid) ? known.claims : undefined

      const signed = readSigned(token, typ)
      if (!signed || !(await verifyInBatch(signed))) return undefined
      const claims = readClaims(signed.payload)
      if (!claims) return undefined
      verified.set(id, { kid: signed.key.kid, claims })
      if (verified.size > verifiedCapacity) verified.delete(verified.keys().next().value!)
      return claims
    },

    jwks: () => ({ keys: publishedKeys().map(({ jwk }) => jwk) }),

    list: () => keys,

    async ensure(algs) {
      const missing = [...new Set(algs)].filter((alg) => !keys.some((key) => key.alg === alg && !key.retiredAt))
      if (missing.length === 0) return
      const made = await Promise.all(missing.map((alg) => make(options, alg, clock.now())))
      await db.transaction(async (tx) => {
        await signingKeys.lock(tx)
        const existing = await signingKeys.list(tx, clock.now())
        for (const row of made) {
          if (!existing.some((key) => key.alg === row.alg && !key.retiredAt)) await signingKeys.create(tx, row)
        }
      })
      await refresh()
    },

    async rotate(when, by) {
      const now = clock.now()
      const created: string[] = []
      const successors: string[] = []
      await db.transaction(async (tx) => {
        await signingKeys.lock(tx)
        // One that retires when its successor begins is among them: where that begins earlier, it retires earlier too.
        const rows = (await signingKeys.list(tx, now)).filter((row) => !row.retiredAt || row.retiredAt > now)
        for (const alg of new Set(rows.map((row) => row.alg as SigningAlg))) {
          const living = rows.filter((row) => row.alg === alg)
          const waiting = living.find((row) => row.activeAt > now)
          const current = living.findLast((row) => row.activeAt <= now)
          const { rotationInterval, publishBefore } = config.keys
          const dueAt = current ? addSeconds(current.activeAt, rotationInterval - publishBefore) : now
          if (when !== 'now' && (waiting || (when === 'due' && dueAt > now))) continue
          const activeAt = when === 'now' ? now : addSeconds(now, publishBefore)
          if (waiting) {
            await signingKeys.activate(tx, waiting.kid, activeAt)
            successors.push(waiting.kid)
          } else {
            const row = await make(options, alg, activeAt)
            await signingKeys.create(tx, row)
            created.push(row.kid)
            successors.push(row.kid)
          }
          for (const { kid } of living.filter((row) => row !== waiting)) {
            await signingKeys.retire(tx, kid, activeAt, addSeconds(activeAt, options.longestToken + skew))
          }
        }
        if (successors.length === 0) return
        const detail = { keys: successors, now: when === 'now' }
        await auditEvents.create(tx, newEvent(options, { ...actOf(by), type: 'key.rotated', detail }))
      })
      await refresh()
      return created
    },

    refresh,
  }
}

const compact = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/

function readClaims(payload: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    return typeof claims === 'object' && claims !== null ? { ...claims } : undefined
  } catch {
    return undefined
  }
}

/** A new row; RSA takes a second, so it is made before any lock is held where that can be. */
async function make(
  { masterKey, random, clock }: KeyRingOptions,
  alg: SigningAlg,
  activeAt: Date,
): Promise<SigningKeyRow> {
  const privateKey = await generatePrivateKey(alg)
  const jwk = publicJwk(privateKey)
  const kid = await calculateJwkThumbprint(jwk as JWK)
  const der = privateKey.export({ format: 'der', type: 'pkcs8' })
  return {
    kid,
    alg,
    publicJwk: { ...jwk, kid, alg, use: 'sig' },
    privateKey: encrypt(random, masterKey.key, der, context(kid)),
    masterKeyId: masterKey.id,
    createdAt: clock.now(),
    activeAt,
  }
}

function load(masterKey: MasterKey, row: SigningKeyRow): LoadedKey {
  if (row.masterKeyId !== masterKey.id) throw wrongMasterKey(row.masterKeyId)
  if (!isSigningAlg(row.alg)) throw new Error(`the signing key ${row.kid} has the unknown algorithm ${row.alg}`)
  const der = decrypt(masterKey.key, row.privateKey, context(row.kid))
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  return {
    kid: row.kid,
    alg: row.alg,
    createdAt: row.createdAt,
    activeAt: row.activeAt,
    retiredAt: row.retiredAt,
    expiresAt: row.expiresAt,
    privateKey,
    publicKey: createPublicKey(privateKey),
    jwk: row.publicJwk as JWK,
  }
}

const context = (kid: string): string => `signing key ${kid}`

function addSeconds(time: Date, seconds: number): Date {
  return new Date(time.getTime() + seconds * 1000)
}
