import { hmacSha256, timingSafeEqual } from '../../platform/crypto/hash.js'
import { createPermutation, type Permutation } from '../../platform/crypto/permutation.js'
import type { Random } from '../../platform/random.js'
import type { SecretKey, SecretKeys } from '../../secrets/index.js'

const randomLength = 8
const tagLength = 8

/**
 * A list's name in public: random, so it tells neither its age nor how many there are, and with a tag that only we can make,
 * so that a name that is made up costs no look into the database.
 */
export function drawListId(random: Random, { current }: SecretKeys): Buffer {
  const drawn = random.bytes(randomLength)
  return Buffer.concat([drawn, tagOf(current, drawn)])
}

/** The order of the indexes inside a list. @throws for an id that is none of ours */
export function permutationOf(secrets: SecretKeys, id: Buffer): Permutation {
  const key = keyOf(secrets, id)
  if (!key) throw new Error('the status list was named under a key that is not there')
  return createPermutation(hmacSha256(key.derive('status list'), Buffer.concat([Buffer.from('order '), id])))
}

const name = /^[\w-]{22}$/

/** @returns undefined for what is no name of ours, in the one spelling that we gave it */
export function readListName(secrets: SecretKeys, text: string): Buffer | undefined {
  if (!name.test(text)) return undefined
  const id = Buffer.from(text, 'base64url')
  return id.toString('base64url') === text && keyOf(secrets, id) ? id : undefined
}

function keyOf({ all }: SecretKeys, id: Buffer): SecretKey | undefined {
  const drawn = id.subarray(0, randomLength)
  return all.find((key) => timingSafeEqual(tagOf(key, drawn), id.subarray(randomLength)))
}

function tagOf(key: SecretKey, drawn: Buffer): Buffer {
  const input = Buffer.concat([Buffer.from('name '), drawn])
  return hmacSha256(key.derive('status list'), input).subarray(0, tagLength)
}

/** Where the lists are, below the issuer. */
export const statusListsPath = '/status-lists'

export function listUri(issuer: string, id: Buffer): string {
  return `${issuer}${statusListsPath}/${id.toString('base64url')}`
}

/** What a token says of its status. Token Status List §6.2. */
export interface StatusClaim {
  readonly status_list: { readonly idx: number; readonly uri: string }
}

/** Where a token of ours stands. */
export function placeOf({ status_list: { idx, uri } }: StatusClaim): { readonly listId: Buffer; readonly idx: number } {
  return { listId: Buffer.from(uri.slice(uri.lastIndexOf('/') + 1), 'base64url'), idx }
}
