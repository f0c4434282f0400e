import type { KeyObject } from 'node:crypto'
import type { JWK } from 'jose'
import { actOf, type By, newEvent } from '../../audit/index.js'
import type { Clock } from '../../platform/clock.js'
import type { Config } from '../../platform/config/index.js'
import { sha256Text } from '../../platform/crypto/hash.js'
import type { MasterKeys } from '../../platform/crypto/master-key.js'
import { oneAtATime } from '../../platform/one-at-a-time.js'
import type { Random } from '../../platform/random.js'
import { describeRevocation } from '../../revocation/index.js'
import { auditEvents, type Database, revocations, signingKeys } from '../../store/index.js'
import { type SigningAlg, signAtOnce, signOnThreadPool, signsOnEventLoop, verifySignature } from './algorithms.js'
import { createCryptoBatch } from './crypto-batch.js'
import { isDue, linesOf } from './rotation.js'
import {
  create,
  isOpen,
  type LoadedKey,
  load,
  loadRetired,
  make,
  type OpenKey,
  type RetiredKey,
  type SigningKey,
} from './signing-key.js'

/** Signing keys: in memory, refreshed when another process changes them. */
export interface KeyRing {
  /**
   * A JWS in compact form.
   *
   * @param options `member`: one more claim, as JSON has it in an object
   * @throws when there is no key for the algorithm
   */
  readonly sign: (
    claims: object,
    options: { readonly alg: SigningAlg; readonly typ: string; readonly member?: string },
  ) => Promise<string>
  /** The `kid` of the key that signs now. @throws when there is none for the algorithm */
  readonly kidOf: (alg: SigningAlg) => string
  /**
   * The claims of a token that one of our published keys signed, in the one spelling that we gave it, and the key.
   *
   * @returns undefined for any other; expiry, audience and revocation are not asked here
   */
  readonly verify: (token: string, typ: string) => Promise<VerifiedToken | undefined>
  /**
   * The same of an ID token that says who is meant and opens nothing: also by a key that has left the JWKS since, as long as a
   * session of its time may live. Never one that was ended. RP-Initiated Logout §2
   *
   * @returns `key_unknown` where none of ours has the name that it says
   */
  readonly verifyHint: (token: string, typ: string) => Promise<VerifiedToken | 'key_unknown' | undefined>
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
  /**
   * Ends keys that may be in wrong hands: they leave the JWKS, and whatever they signed is refused. Where none is left that
   * signs, another does from now on.
   *
   * @param kids undefined: all, also those that wait to sign, since they lay in the same place
   * @returns the `kid`s that ended
   */
  readonly end: (kids: readonly string[] | undefined, by: By) => Promise<readonly string[]>
  readonly refresh: () => Promise<void>
}

export interface KeyRingOptions {
  readonly db: Database
  readonly masterKeys: MasterKeys
  readonly clock: Clock
  readonly random: Random
  readonly config: Config
  /** Seconds: the longest that a token may live. */
  readonly longestToken: number
  /** Hears of each key that only verifies here, once. */
  readonly onUnopened?: (kid: string) => void
}

/** The parts of a token that one of our keys may have signed. */
interface Signed {
  readonly key: RetiredKey
  readonly payload: string
  readonly input: Buffer
  readonly signature: Buffer
}

/** A token whose signature was checked. */
export interface VerifiedToken {
  readonly kid: string
  readonly claims: Readonly<Record<string, unknown>>
}

const verifiedCapacity = 10_000

/** Bytes up to which the hash is no work to speak of. */
const smallPayload = 65_536

/** Of one run: about 2 ms. */
const runOf = { signatures: 64, verifications: 32 }

/** Seconds that clocks of verifiers and processes may differ. */
const skew = 60

export function createKeyRing(options: KeyRingOptions): KeyRing {
  const { db, clock, config } = options
  let keys: readonly LoadedKey[] = []
  let retired: readonly RetiredKey[] = []
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

  function signingKey(alg: SigningAlg): OpenKey {
    // Numbers here and below: it is done for each token, and to compare dates costs ten times as much.
    const now = clock.now().getTime()
    // A clock that was set back must not leave us without a key: then the first of those to come signs (attack 133).
    let found: OpenKey | undefined
    for (const key of keys) {
      if (key.alg !== alg || (key.retiredAt && key.retiredAt.getTime() <= now) || !isOpen(key)) continue
      if (!found || key.activeAt.getTime() <= now) found = key
    }
    if (!found) throw new Error(`there is no signing key for ${alg}`)
    return found
  }

  function publishedKeys(): readonly LoadedKey[] {
    const now = clock.now().getTime()
    return keys.filter(({ expiresAt }) => !expiresAt || expiresAt.getTime() > now)
  }

  /** Of sessions that began when it signed last. */
  const oldestHint = (now: Date): Date => addSeconds(now, -config.sessions.lifetime)

  function hintKeys(): readonly RetiredKey[] {
    const since = oldestHint(clock.now())
    return [...publishedKeys(), ...[...keys, ...retired].filter(({ expiresAt }) => expiresAt && expiresAt > since)]
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
  function readSigned(token: string, typ: string, among: readonly RetiredKey[] = publishedKeys()): Signed | undefined {
    const [, header, payload, encoded] = compact.exec(token) ?? []
    if (header === undefined || payload === undefined || encoded === undefined) return undefined
    const key = among.find(({ alg, kid }) => encodedHeader(alg, typ, kid) === header)
    if (!key) return undefined
    const signature = Buffer.from(encoded, 'base64url')
    // Decoders let padding and unused bits through. The signature covers the other parts, but not its own spelling.
    if (signature.toString('base64url') !== encoded) return undefined
    return { key, payload, input: Buffer.from(`${header}.${payload}`, 'latin1'), signature }
  }

  async function verify(value: string, typ: string): Promise<VerifiedToken | undefined> {
    // A resource server asks for the same token again and again.
    const id = `${typ} ${sha256Text(value)}`
    const known = verified.get(id)
    // What a key signed ends with the key, remembered or not: it may have been stolen (attack 79).
    if (known) return publishedKeys().some(({ kid }) => kid === known.kid) ? known : undefined

    const signed = readSigned(value, typ)
    if (!signed || !(await verifyInBatch(signed))) return undefined
    const claims = readClaims(signed.payload)
    if (!claims) return undefined
    const token = { kid: signed.key.kid, claims }
    verified.set(id, token)
    if (verified.size > verifiedCapacity) verified.delete(verified.keys().next().value!)
    return token
  }

  const refresh = oneAtATime(async () => {
    const known = new Map(keys.map((key) => [key.kid, key]))
    const now = clock.now()
    const rows = await signingKeys.list(db, oldestHint(now))
    const isPublished = ({ expiresAt }: (typeof rows)[number]) => !expiresAt || expiresAt > now
    const loaded = rows.filter(isPublished).map((row) => {
      const before = known.get(row.kid)
      return before && isOpen(before)
        ? { ...before, activeAt: row.activeAt, retiredAt: row.retiredAt, expiresAt: row.expiresAt }
        : load(options.masterKeys, row)
    })
    // A process that has not heard of a rotation goes on with what it has opened. One that can open nothing does not start.
    const closed = loaded.find((key) => !isOpen(key))
    if (closed && !loaded.some(isOpen)) throw closed.error
    for (const key of loaded) if (!isOpen(key) && !known.has(key.kid)) options.onUnopened?.(key.kid)
    keys = loaded
    retired = rows.filter((row) => !isPublished(row)).flatMap((row) => loadRetired(row) ?? [])
  })

  /** A key for each algorithm. One that is not needed in the end is forgotten. */
  async function drawAhead(of: readonly { readonly alg: string }[], now: Date) {
    const algs = [...new Set(of.map(({ alg }) => alg as SigningAlg))]
    const made = await Promise.all(algs.map(async (alg) => [alg, await make(options, alg, now)] as const))
    return new Map(made)
  }

  return {
    kidOf: (alg) => signingKey(alg).kid,

    async sign(claims, { alg, typ, member }) {
      const key = signingKey(alg)
      const json = JSON.stringify(claims)
      const whole = member === undefined ? json : `${json.slice(0, -1)},${member}}`
      const payload = Buffer.from(whole).toString('base64url')
      const input = `${encodedHeader(alg, typ, key.kid)}.${payload}`
      const data = Buffer.from(input, 'latin1')
      const signature =
        signsOnEventLoop(alg) && data.length <= smallPayload
          ? await signInBatch({ alg, privateKey: key.privateKey, data })
          : await signOnThreadPool(alg, key.privateKey, data)
      return `${input}.${signature.toString('base64url')}`
    },

    verify,

    async verifyHint(value, typ) {
      const known = await verify(value, typ)
      if (known) return known
      const among = hintKeys()
      const { kid } = readHeader(value) ?? {}
      if (typeof kid === 'string' && !among.some((key) => key.kid === kid)) return 'key_unknown'
      const signed = readSigned(value, typ, among)
      const claims = signed && (await verifyInBatch(signed)) ? readClaims(signed.payload) : undefined
      return signed && claims && { kid: signed.key.kid, claims }
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
        for (const key of made) {
          if (!existing.some(({ alg, retiredAt }) => alg === key.alg && !retiredAt)) await create(options, tx, key)
        }
      })
      await refresh()
    },

    async rotate(when, by) {
      const now = clock.now()
      const created: string[] = []
      const successors: string[] = []
      // Asked every minute, and nearly always without a need: no lock for that.
      const known = (await linesOf(db, now)).filter((line) => when !== 'due' || isDue(line, now, config))
      if (known.length === 0) return []
      const drawn = await drawAhead(
        known.filter(({ waiting }) => !waiting),
        now,
      )
      await db.transaction(async (tx) => {
        await signingKeys.lock(tx)
        for (const line of await linesOf(tx, now)) {
          const { alg, living, waiting } = line
          if (when !== 'now' && (waiting || (when === 'due' && !isDue(line, now, config)))) continue
          const activeAt = when === 'now' ? now : addSeconds(now, config.keys.publishBefore)
          if (waiting) {
            await signingKeys.activate(tx, waiting.kid, activeAt)
            successors.push(waiting.kid)
          } else {
            const key = { ...(drawn.get(alg) ?? (await make(options, alg, activeAt))), activeAt }
            await create(options, tx, key)
            created.push(key.kid)
            successors.push(key.kid)
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

    async end(kids, by) {
      const now = clock.now()
      // Before the locks: an RSA key takes seconds to draw on a busy machine, and every revocation would wait for it.
      const known = await signingKeys.list(db, now)
      const drawn = await drawAhead(
        known.filter(({ kid }) => kids?.includes(kid) ?? true),
        now,
      )
      const ended = await db.transaction(async (tx) => {
        // First, as everybody who revokes does: no two wait for each other.
        await revocations.lock(tx)
        await signingKeys.lock(tx)
        // Also what verifies hints alone.
        const rows = await signingKeys.list(tx, oldestHint(now))
        const gone = rows.filter(({ kid }) => kids?.includes(kid) ?? true)
        const left = rows.filter((row) => !gone.includes(row))
        const published = gone.filter(({ expiresAt }) => !expiresAt || expiresAt > now)
        for (const alg of new Set(published.map((row) => row.alg as SigningAlg))) {
          const signs = left.some(
            (row) => row.alg === alg && row.activeAt <= now && !(row.retiredAt && row.retiredAt <= now),
          )
          const waiting = left.find((row) => row.alg === alg && row.activeAt > now)
          if (signs) continue
          if (waiting) await signingKeys.activate(tx, waiting.kid, now)
          else await create(options, tx, drawn.get(alg) ?? (await make(options, alg, now)))
        }
        const cause = { ...by, reason: 'key_revoked' }
        await revocations.createAll(
          tx,
          gone.map(({ kid }) => describeRevocation(options, { kind: 'key', kid }, cause)),
        )
        await signingKeys.remove(
          tx,
          gone.map(({ kid }) => kid),
        )
        return gone.map(({ kid }) => kid)
      })
      await refresh()
      return ended
    },

    refresh,
  }
}

const compact = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/

function readHeader(token: string): Readonly<Record<string, unknown>> | undefined {
  const [, header] = compact.exec(token) ?? []
  return header === undefined ? undefined : readClaims(header)
}

function readClaims(payload: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    return typeof claims === 'object' && claims !== null ? { ...claims } : undefined
  } catch {
    return undefined
  }
}

function addSeconds(time: Date, seconds: number): Date {
  return new Date(time.getTime() + seconds * 1000)
}
