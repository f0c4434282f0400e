import type { RedisClientType } from '@redis/client'
import { monotonicMilliseconds } from '../platform/monotonic.js'
import type { Presence, RateGrant, RateLease } from '../store/index.js'
import type { LimitStore } from './store.js'

/**
 * The generic cell rate algorithm as in `store/rate-limits.ts`, in microseconds: Lua counts in floating point, which holds
 * those exactly. A key is gone when its whole burst is there again.
 */
const leaseScript = `
local now, units = tonumber(ARGV[1]), tonumber(ARGV[2])
local emission, tolerance = tonumber(ARGV[3]), tonumber(ARGV[4])
local tat = tonumber(redis.call('GET', KEYS[1]) or '0')
local wrong = tat > now + 2 * tolerance + 10000000
if wrong then tat = now + tolerance end
if tat < now then tat = now end
local granted = math.max(0, math.min(units, math.floor((now + tolerance - tat) / emission + 0.000001)))
tat = tat + granted * emission
local debt = math.ceil(tat - now)
if granted > 0 or wrong then
  redis.call('SET', KEYS[1], string.format('%.3f', tat), 'PX', math.ceil(debt / 1000) + 60000)
end
return { granted, debt }`

/** Who was not seen for half a minute is gone. */
const announceScript = `
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. (tonumber(ARGV[1]) - 30000))
redis.call('PEXPIRE', KEYS[1], 60000)
return redis.call('ZCARD', KEYS[1])`

const prefix = 'ostiary:rate-limit:'

/** Commands that wait for an answer: what is more fails at once, and its process goes on with its share. */
const longestQueue = 10_000

/** Milliseconds that a first connection is waited for. */
const patience = 2_000

interface Connection {
  readonly client: RedisClientType
  readonly ready: Promise<unknown>
  readonly openedAt: number
}

/** Redis, Valkey, or what else understands their protocol. Connected when it is first asked, and again whenever it was lost. */
export function redisStore(url: string): LimitStore {
  let opening: Promise<Connection> | undefined

  async function open(): Promise<Connection> {
    const { createClient } = await import('@redis/client')
    const options = { url, disableOfflineQueue: true, commandsQueueMaxLength: longestQueue }
    const client = createClient(options) as RedisClientType
    // Whoever asks hears of it; it goes on trying by itself.
    client.on('error', () => undefined)
    const ready = client.connect().catch(() => {
      opening = undefined
    })
    return { client, ready, openedAt: monotonicMilliseconds() }
  }

  /** What waited for a store that was away would take from it, once it is back, what nobody awaits any more. */
  async function connected(): Promise<RedisClientType> {
    opening ??= open()
    const { client, ready, openedAt } = await opening
    if (client.isReady) return client
    const isLate = (): boolean => monotonicMilliseconds() - openedAt > patience
    if (!isLate()) await ready
    if (isLate() || !client.isReady) throw new Error('there is no connection to Redis')
    return client
  }

  async function run(script: string, key: string, values: readonly (string | number)[]): Promise<unknown> {
    const client = await connected()
    return client.eval(script, { keys: [key], arguments: values.map(String) })
  }

  const holders = (scope: string): string => `${prefix}holders:${scope}`

  return {
    async lease({ key, units, limit, window, burst, now }: RateLease): Promise<RateGrant> {
      const emission = (window * 1_000_000) / limit
      const values = [now.getTime() * 1000, units, emission, emission * burst]
      const answer = await run(leaseScript, `${prefix}${key.toString('base64url')}`, values)
      const [granted, debt] = answer as [number, number]
      return { granted, debt: debt / 1000 }
    },
    async announce({ scope, id, now }: Presence): Promise<number> {
      return Number(await run(announceScript, holders(scope), [now.getTime(), id]))
    },
    async leave({ scope, id }: Presence): Promise<void> {
      await run(`return redis.call('ZREM', KEYS[1], ARGV[1])`, holders(scope), [id])
    },
    async close() {
      const connection = await opening?.catch(() => undefined)
      if (connection?.client.isOpen) connection.client.destroy()
    },
  }
}
