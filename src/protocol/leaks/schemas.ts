import { type Static, Type } from '@sinclair/typebox'

/**
 * Bytes, and reports, of one request: GitHub sends many at once. Whoever signs has proved nothing before the body is read, since
 * names of keys are public: it is shorter, has little time, and a bounded number of them is read at once. Signed reports that
 * have come are worked on a few at a time: whoever overheard one may send it again and again.
 */
export const most = {
  bytes: 1024 * 1024,
  reports: 500,
  signedBytes: 256 * 1024,
  unprovedAtOnce: 64,
  unprovedMilliseconds: 8_000,
  signedAtOnce: 8,
}

/** What secret scanners send; they may say more. */
const report = Type.Object(
  {
    token: Type.String({ minLength: 1, maxLength: 4_096, description: 'What was found.' }),
    type: Type.Optional(Type.String({ maxLength: 256, description: 'What the scanner calls it.' })),
    url: Type.Optional(
      Type.Union([Type.String({ maxLength: 8_192 }), Type.Null()], { description: 'Where it was found.' }),
    ),
  },
  { $id: 'LeakReport' },
)
const verdict = Type.Object(
  {
    token_hash: Type.String({
      pattern: '^[0-9a-f]{64}$',
      description: 'The SHA-256 of the token: no answer repeats it.',
    }),
    token_type: Type.String(),
    label: Type.Union([Type.Literal('true_positive'), Type.Literal('false_positive')], {
      description: 'Whether it is a key of this server.',
    }),
  },
  { $id: 'LeakVerdict', additionalProperties: false },
)

export type LeakReport = Static<typeof report>
export type LeakVerdict = Static<typeof verdict>

export const reportsSchema = Type.Array(report, { maxItems: most.reports })
export const verdictsSchema = Type.Array(verdict)
