import type { Context } from '../context.js'
import { listTiers } from '../limits/index.js'
import { dueRotations, rotateEveryOf } from '../notices/index.js'
import type { Rotatable } from '../store/index.js'
import { defineCommand } from './command.js'
import { durationText } from './duration.js'
import { table, timeText } from './output.js'

const policy = defineCommand({
  name: 'api-key policy',
  summary: 'Show how often keys and client secrets are to be rotated, what is due and what is overdue',
  description:
    'The policy is that of the tier (`tier create --rotate-every`), else ROTATE_EVERY. Owners are reminded 14, 7 and 1 days ' +
    'before, and once when it is overdue. What has a successor is done; nothing ends by this policy.',
  examples: ['ostiary api-key policy', 'ostiary api-key policy --json'],
  async run({ context }) {
    const ctx = await context()
    const policies = await policiesOf(ctx)
    const { due, overdue } = await dueRotations(ctx)
    return {
      json: {
        policies: policies.map(({ tier, every }) => ({ tier, rotate_every: every ?? 'never' })),
        due: due.map(describeRotatable),
        overdue: overdue.map(describeRotatable),
      },
      text: (width) =>
        `${table(
          policies,
          [
            { title: 'TIER', value: ({ tier }) => tier ?? '(none)', flexible: true },
            { title: 'ROTATE EVERY', value: ({ every }) => (every === undefined ? 'never' : durationText(every)) },
          ],
          width,
        )}\n${section('Overdue', overdue, width)}\n${section('Due within 14 days', due, width)}`,
    }
  },
})

export const apiKeyPolicyCommands = [policy]

interface Policy {
  /** Undefined: of what has none. */
  readonly tier?: string
  /** Seconds; undefined: never. */
  readonly every: number | undefined
}

async function policiesOf(ctx: Context): Promise<readonly Policy[]> {
  const tiers = await listTiers(ctx)
  return [
    { every: rotateEveryOf(ctx, undefined) },
    ...tiers.map(({ name }) => ({ tier: name, every: rotateEveryOf(ctx, name) })),
  ]
}

function describeRotatable({
  kind,
  id,
  owner,
  name,
  tier,
  createdAt,
  dueAt,
  ends,
}: Rotatable): Record<string, unknown> {
  return {
    kind,
    id,
    owner: { kind: owner.kind, id: owner.id },
    name,
    tier,
    created_at: createdAt.toISOString(),
    due_at: dueAt.toISOString(),
    ends,
  }
}

function section(title: string, rows: readonly Rotatable[], width: number): string {
  if (rows.length === 0) return `${title}: nothing.\n`
  return `${title}:\n${table(
    rows,
    [
      { title: 'DUE', value: ({ dueAt }) => timeText(dueAt) },
      {
        title: 'WHAT',
        value: ({ kind, ends }) => `${kind === 'api_key' ? 'API key' : 'client secret'}${ends ? ', ends' : ''}`,
      },
      { title: 'NAME', value: ({ name }) => name, flexible: true },
      { title: 'OWNER', value: ({ owner }) => `${owner.kind} ${owner.id}`, flexible: true },
      { title: 'ID', value: ({ id }) => id },
    ],
    width,
  )}`
}
