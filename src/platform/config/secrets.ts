import { type Static, Type } from '@sinclair/typebox'
import type { Source } from './variables.js'

export const secretsVariables = Type.Object({
  masterKey: Type.Optional(
    Type.String({
      secret: true,
      description:
        '32 random bytes in base64, base64url or hex, which encrypt the private keys in the database. Without it one is generated into DATA_DIR.',
    }),
  ),
})

export interface SecretsConfig {
  /** 32 bytes; undefined where the server generates one into `database.dataDir`. */
  readonly masterKey: Buffer | undefined
}

export function resolveSecrets(values: Static<typeof secretsVariables>, source: Source): SecretsConfig {
  if (values.masterKey === undefined) return { masterKey: undefined }
  const masterKey = decodeKey(values.masterKey)
  if (masterKey?.length !== 32) {
    source.refuse(
      'MASTER_KEY',
      'is not 32 bytes in base64, base64url or hex',
      'Make one with `openssl rand -base64 32`, and keep the old one if the database already holds keys.',
    )
    return { masterKey: undefined }
  }
  return { masterKey }
}

/** Strict where Buffer is not: a stray character is a mistake, not something to skip. */
function decodeKey(text: string): Buffer | undefined {
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex')
  const standard = text
    .replace(/={1,2}$/, '')
    .replace(/-/g, '+')
    .replace(/_/g, '/')
  const bytes = Buffer.from(standard, 'base64')
  return bytes.toString('base64').replace(/={1,2}$/, '') === standard ? bytes : undefined
}
