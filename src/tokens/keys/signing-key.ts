import { createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { calculateJwkThumbprint, type JWK } from 'jose'
import type { Clock } from '../../platform/clock.js'
import type { MasterKeys } from '../../platform/crypto/master-key.js'
import type { Random } from '../../platform/random.js'
import { sealingKey, unwrap, WrongMasterKeyError, wrap } from '../../secrets/index.js'
import { type Db, type SigningKeyRow, signingKeys } from '../../store/index.js'
import { generatePrivateKey, isSigningAlg, publicJwk, type SigningAlg } from './algorithms.js'

export interface SigningKey {
  readonly kid: string
  readonly alg: SigningAlg
  readonly createdAt: Date
  readonly activeAt: Date
  readonly retiredAt?: Date | undefined
  readonly expiresAt?: Date | undefined
}

/** A key in memory. */
export interface LoadedKey extends SigningKey {
  /** Why there is no private key. */
  readonly error: WrongMasterKeyError | undefined
  /** Undefined where no master key of this process opens it: then it verifies, and others sign with it. */
  readonly privateKey: KeyObject | undefined
  readonly publicKey: KeyObject
  readonly jwk: JWK
}

/** One that has left the JWKS. It verifies hints, and nothing that opens anything. */
export type RetiredKey = Pick<LoadedKey, 'kid' | 'alg' | 'expiresAt' | 'publicKey'>

/** One that signs here. */
export type OpenKey = LoadedKey & { readonly privateKey: KeyObject }

/** A key before it is written. */
export interface NewKey extends Omit<SigningKeyRow, 'privateKey' | 'masterKeyId'> {
  readonly der: Buffer
}

/** RSA takes a second, so it is made before any lock is held where that can be. */
export async function make({ clock }: { readonly clock: Clock }, alg: SigningAlg, activeAt: Date): Promise<NewKey> {
  const privateKey = await generatePrivateKey(alg)
  const jwk = publicJwk(privateKey)
  const kid = await calculateJwkThumbprint(jwk as JWK)
  const der = privateKey.export({ format: 'der', type: 'pkcs8' })
  return {
    kid,
    alg,
    publicJwk: { ...jwk, kid, alg, use: 'sig' },
    der,
    createdAt: clock.now(),
    activeAt,
  }
}

/** Wraps and writes it, under the lock that a rotation of the master key takes too. */
export async function create(
  { masterKeys, random }: { readonly masterKeys: MasterKeys; readonly random: Random },
  tx: Db,
  { der, ...key }: NewKey,
): Promise<void> {
  const masterKey = await sealingKey(tx, masterKeys)
  const privateKey = wrap(random, masterKey, der, `signing key ${key.kid}`)
  await signingKeys.create(tx, { ...key, privateKey, masterKeyId: masterKey.id })
}

export function load(masterKeys: MasterKeys, row: SigningKeyRow): LoadedKey {
  if (!isSigningAlg(row.alg)) throw new Error(`the signing key ${row.kid} has the unknown algorithm ${row.alg}`)
  const { privateKey, error } = open(masterKeys, row)
  return {
    kid: row.kid,
    alg: row.alg,
    createdAt: row.createdAt,
    activeAt: row.activeAt,
    retiredAt: row.retiredAt,
    expiresAt: row.expiresAt,
    privateKey,
    error,
    publicKey: privateKey
      ? createPublicKey(privateKey)
      : createPublicKey({ key: row.publicJwk as JsonWebKey, format: 'jwk' }),
    jwk: row.publicJwk as JWK,
  }
}

/** The public half of a key that signs no more. */
export function loadRetired(row: SigningKeyRow): RetiredKey | undefined {
  if (!isSigningAlg(row.alg) || !row.expiresAt) return undefined
  const publicKey = createPublicKey({ key: row.publicJwk as JsonWebKey, format: 'jwk' })
  return { kid: row.kid, alg: row.alg, expiresAt: row.expiresAt, publicKey }
}

function open(masterKeys: MasterKeys, row: SigningKeyRow): Pick<LoadedKey, 'privateKey' | 'error'> {
  try {
    const der = unwrap(masterKeys, row.masterKeyId, row.privateKey, `signing key ${row.kid}`)
    return { privateKey: createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }), error: undefined }
  } catch (error) {
    if (error instanceof WrongMasterKeyError) return { privateKey: undefined, error }
    throw error
  }
}

export function isOpen(key: LoadedKey): key is OpenKey {
  return key.privateKey !== undefined
}
