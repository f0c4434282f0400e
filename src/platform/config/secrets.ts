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
  masterKeyPrevious: Type.Optional(
    Type.String({
      secret: true,
      description:
        'The master key of before, in the same forms: opens what `ostiary master-key rotate` has not wrapped anew yet, and older backups.',
    }),
  ),
})

export interface SecretsConfig {
  /** 32 bytes; undefined where the server generates one into `database.dataDir`. */
  readonly masterKey: Buffer | undefined
  /** 32 bytes; opens and never wraps. */
  readonly masterKeyPrevious: Buffer | undefined
}

export function resolveSecrets(values: Static<typeof secretsVariables>, source: Source): SecretsConfig {
  return {
    masterKey: readKey(
      values.masterKey,
      'MASTER_KEY',
      'Make one with `openssl rand -base64 32`, and keep the old one if the database already holds keys.',
      source,
    ),
    masterKeyPrevious: readKey(
      values.masterKeyPrevious,
      'MASTER_KEY_PREVIOUS',
      'Give the key as it stood in MASTER_KEY.',
      source,
    ),
  }
}

function readKey(text: string | undefined, name: string, advice: string, source: Source): Buffer | undefined {
  if (text === undefined) return undefined
  const key = decodeKey(text)
  if (key?.length === 32) return key
  source.refuse(name, 'is not 32 bytes in base64, base64url or hex', advice)
  return undefined
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
