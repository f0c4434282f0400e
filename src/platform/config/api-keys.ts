import { type Static, Type } from '@sinclair/typebox'
import { parseReporterKeys } from '../crypto/reporter-keys.js'
import { readable, type Source } from './variables.js'

const DAY = 86_400

export const apiKeysVariables = Type.Object({
  lifetime: Type.Integer({
    variable: 'API_KEY_LIFETIME',
    default: 90 * DAY,
    minimum: 60,
    maximum: 3650 * DAY,
    weakerAbove: 366 * DAY,
    weakness: 'a key that leaked, and that nobody misses, stays good that long.',
    description:
      'Seconds an API key is valid where whoever makes it says nothing else. A forgotten key ends by itself.',
  }),
  perOwner: Type.Integer({
    variable: 'API_KEYS_PER_OWNER',
    default: 1_000,
    minimum: 1,
    maximum: 100_000,
    description: 'API keys of one user or client that are good at once. More are refused: nobody fills the database.',
  }),
  quota: Type.Integer({
    variable: 'API_KEY_QUOTA',
    default: 300,
    minimum: 1,
    maximum: 100_000,
    weakerAbove: 10_000,
    weakness: 'one owner can fill the database with keys that have ended, which stay in lists.',
    description:
      'API keys that a user or client makes, rotates or changes in an hour, of their own, by HTTP and at /account, before 429: nobody fills the database. Keys are ended at any time; administrators by HTTP and the command line are not counted.',
  }),
  rotateEvery: Type.Integer({
    variable: 'ROTATE_EVERY',
    default: 90 * DAY,
    minimum: 0,
    maximum: 3650 * DAY,
    description:
      'Seconds after which API keys and client secrets are to be rotated, where their tier says nothing else; 0 is never. Owners are reminded; nothing ends by it.',
  }),
  leaked: Type.Union([Type.Literal('end'), Type.Literal('warn')], {
    variable: 'LEAKED_KEYS',
    default: 'end',
    description:
      'What happens to an API key that POST /leaks says is public: it ends at once, or its owner is warned. A publishable one is public anyway: its owner is told.',
  }),
  leakReporterKeys: Type.Optional(
    Type.String({
      variable: 'LEAK_REPORTER_KEYS',
      description:
        'File of the public keys by which secret scanners sign what they report to POST /leaks, as JSON: {"public_keys":[{"key_identifier","key"}]}. Read again when it changes.',
    }),
  ),
})

export type ApiKeysConfig = Static<typeof apiKeysVariables>

/** The file is read at the start, so that a slip shows then and not with the first report. */
export function checkApiKeys(values: ApiKeysConfig, source: Source): ApiKeysConfig {
  const name = 'LEAK_REPORTER_KEYS'
  const content = values.leakReporterKeys && readable(source, name, values.leakReporterKeys)
  if (!content) return values
  try {
    parseReporterKeys(content.toString('utf8'))
  } catch (error) {
    const problem = error instanceof TypeError ? error.message : 'cannot be read'
    source.refuse(name, `names a file that ${problem}`, 'Write it as GitHub publishes its keys of secret scanning.')
  }
  return values
}
