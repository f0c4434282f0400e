import type { StoredClient } from '../../store/index.js'
import type { OpenIdSigningAlg } from '../openid-metadata.js'
import { shareOf } from '../share.js'
import { createJwksUris, type JwksUriOptions } from './jwks-uris.js'
import { type ClientKey, readClientKey } from './verification-key.js'

type KeyOwner = Pick<StoredClient, 'clientId' | 'jwks' | 'jwksUri' | 'selfRegistered'>

/** What a JWT says of the key that signed it. */
export interface WantedKey {
  readonly alg: OpenIdSigningAlg
  readonly kid: string | undefined
  /** When the request with it came, in monotonic milliseconds. */
  readonly since: number
}

/** Public keys of clients, registered by value or behind `jwks_uri`. */
export interface ClientKeys {
  /**
   * Those of its keys that may have signed: of the algorithm, and of the name where one is given.
   *
   * @returns why there are none to choose from, in snake_case
   * @throws {ClientKeysAwayError} while its `jwks_uri` has given none
   */
  readonly find: (client: KeyOwner, wanted: WantedKey) => Promise<readonly ClientKey[] | string>
}

export function createClientKeys(options: Omit<JwksUriOptions, 'share'>): ClientKeys {
  // Apart: else a stranger names an operator's address, and what is refused or pushed out for him is for both.
  const uris = {
    operators: createJwksUris({ ...options, share: 'operators' }),
    strangers: createJwksUris({ ...options, share: 'strangers' }),
  }
  /** A set is an object of the client in memory, and gone with it. */
  const byValue = new WeakMap<object, readonly ClientKey[]>()

  function read(jwks: NonNullable<KeyOwner['jwks']>): readonly ClientKey[] {
    const known = byValue.get(jwks)
    if (known) return known
    const keys = jwks.keys.map(readClientKey).filter((key) => typeof key !== 'string')
    byValue.set(jwks, keys)
    return keys
  }

  return {
    async find({ clientId, jwks, jwksUri, selfRegistered }, { alg, kid, since }) {
      const fits = (key: ClientKey): boolean => key.algs.includes(alg) && (kid === undefined || key.kid === kid)
      if (jwks) return read(jwks).filter(fits)
      if (jwksUri === undefined) return 'no_keys_registered'
      return uris[shareOf({ selfRegistered })].find(jwksUri, fits, { clientId, since })
    },
  }
}
