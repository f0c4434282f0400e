import { rotateApiKey } from '../../../src/api-keys/index.js'
import type { Context } from '../../../src/context.js'
import type { Chance } from './chance.js'
import type { Installation } from './installation.js'
import { bound, goodUntil, type HeldKey, type KeyLoad, monotonic, newKey } from './keys-in-use.js'
import { insist } from './promise-load.js'
import { openWire } from './wire.js'

interface Rotation {
  readonly ctx: Context
  readonly installation: Installation
  /** Opens /api-keys to the owner of the keys. */
  readonly token: string
  readonly load: KeyLoad
  readonly luck: Chance
  /** Seconds, between which each is drawn. */
  readonly overlaps: readonly [number, number]
  /** Takes each at once. */
  readonly successors: HeldKey[]
}

interface Rotated {
  readonly id: string
  readonly text: string
  /** When the key before ends. */
  readonly end: Date
}

/**
 * Rotates each, by turns as an operator's command does it, and as its owner does by HTTP at one process and at the other. Each has
 * an overlap of its own, and its holder shows it shortly before that is over, and once its end must be known.
 */
export async function rotateInUse(keys: readonly HeldKey[], rotation: Rotation): Promise<void> {
  const { ctx, installation, token, load, luck, overlaps, successors } = rotation
  const wire = openWire(new URL(installation.issuer).host)
  const byCommand = async (id: string, overlap: number): Promise<Rotated> => {
    const { key, text = '', previous } = await rotateApiKey(ctx, id, { overlap, by: { actor: 'operator' } })
    return { id: key.id, text, end: previous.expiresAt! }
  }
  const byHttp = async (port: number, id: string, overlap: number): Promise<Rotated> => {
    const sent = { method: 'POST', path: `/api-keys/${id}/rotate`, json: { overlap } } as const
    const outcome = await wire.send(port, { ...sent, headers: { authorization: `Bearer ${token}` } })
    if (outcome.kind !== 'answer' || outcome.status !== 201) throw new Error(`not rotated: ${JSON.stringify(outcome)}`)
    const { id: successor, key, previous } = JSON.parse(outcome.body)
    return { id: successor, text: key, end: new Date(previous.expires_at) }
  }
  const waiting = [...keys]
  const one = async (): Promise<void> => {
    for (let key = waiting.pop(); key; key = waiting.pop()) {
      const { id } = key
      const overlap = luck.between(...overlaps)
      const port = [undefined, ...installation.servers.map((server) => server.port)][waiting.length % 3]
      const begun = performance.now()
      // Its end is known when it is answered, and cannot be earlier than this.
      key.goodUntil = begun + (overlap - 1) * 1_000
      const rotated = await insist(() => (port === undefined ? byCommand(id, overlap) : byHttp(port, id, overlap)))
      const end = monotonic(rotated.end)
      key.endedAt = end
      key.goodUntil = goodUntil(rotated.end)
      const successor = newKey(rotated.id, rotated.text)
      successors.push(successor)
      load.showAt(successor, performance.now())
      load.showAt(key, key.goodUntil - luck.between(100, 500))
      load.showAt(key, end + bound + luck.between(1, 1_000))
    }
  }
  await Promise.all([one(), one()])
  wire.close()
}
