import type { Clock } from '../../platform/clock.js'
import type { Permutation } from '../../platform/crypto/permutation.js'
import type { Random } from '../../platform/random.js'
import type { SecretKeys } from '../../secrets/index.js'
import { type Database, type EndableBy, type StatusOwner, statusLists } from '../../store/index.js'
import { endsOfService, type Service } from '../ended-by.js'
import type { RevocationList } from '../list.js'
import { drawListId, listUri, permutationOf } from './list-name.js'

/** What a token is that needs an index. */
export interface StatusRequest extends StatusOwner {
  /** Undefined: a user's grant gave it. */
  readonly service?: Service | undefined
  /** Seconds since 1970, as in its claims. */
  readonly iat: number
  readonly exp: number
}

/** Given to one token and never again. */
export interface TakenIndex {
  readonly listId: Buffer
  readonly idx: number
  readonly period: number
  /** The claim `status` as a member of a JSON object: written once for a block, since a token costs little else. */
  readonly member: string
}

/**
 * Indexes that this process may give to tokens: from blocks that it leased before they were needed, so that a token costs no
 * statement. What is left of a block when the process ends is never given.
 */
export interface StatusIndexes {
  /** @returns undefined where none is at hand: then `lease` waits for one */
  readonly take: (request: StatusRequest) => TakenIndex | undefined
  /**
   * Waits until there is one. A token is not issued without: it would be one that no verifier of the lists can take back, and
   * whoever asks for many at once could have it.
   */
  readonly lease: (request: StatusRequest) => Promise<TakenIndex>
  /** Forgets all blocks: the database may have been replaced by an older state of itself, which does not know them. */
  readonly drop: () => void
}

export interface StatusIndexesOptions {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly secrets: SecretKeys
  readonly issuer: string
  readonly revocations: Pick<RevocationList, 'earliestIat'>
}

interface Block {
  readonly listId: Buffer
  /** What `member` is before the index. */
  readonly memberStart: string
  readonly permute: Permutation
  /** No token of it is older: seconds since 1970. */
  readonly iat: number
  next: number
  readonly end: number
}

/** What there is for tokens of one owner that expire in one period. */
interface Supply {
  readonly period: number
  blocks: Block[]
  left: number
  given: number
  leasing: Promise<void> | undefined
}

interface Pool {
  readonly owner: StatusOwner
  /** What ends all tokens of the owner. A user's grants are told apart by their rows. */
  readonly targets: readonly EndableBy[]
  readonly supplies: Map<number, Supply>
  /** Of the next block. */
  size: number
  leasedAt: number
  waiting: number
}

/** A block for a client that comes now and then: 16,384 of them are a list. */
const smallestBlock = 64
/** Seconds that a block should last. */
const wanted = { least: 5, most: 60 }
/** Seconds before tokens fall into the next period, in which a block of it is leased, where as many were given in this one. */
const ahead = { seconds: 30, given: 16 }

export function createStatusIndexes(options: StatusIndexesOptions): StatusIndexes {
  const { db, clock, random, secrets, issuer, revocations } = options
  let pools = new Map<string, Pool>()
  /** Of the lists that something was leased from: a table of 20 KB each. */
  const orders = new Map<string, { readonly period: number; readonly permute: Permutation }>()
  let incarnation: string | undefined
  let sweptIn = 0

  function poolOf({ kid, service }: StatusRequest): Pool {
    // Neither a kid nor the identifier of a resource has a space.
    const key = service ? `${kid} ${service.audience} ${service.clientId}` : kid
    const known = pools.get(key)
    if (known) return known
    const targets = service ? endsOfService(service) : []
    const owner = { kid, service }
    const pool = { owner, targets, supplies: new Map(), size: smallestBlock, leasedAt: 0, waiting: 0 }
    pools.set(key, pool)
    return pool
  }

  function supplyOf(pool: Pool, period: number): Supply {
    const known = pool.supplies.get(period)
    if (known) return known
    const supply = { period, blocks: [], left: 0, given: 0, leasing: undefined }
    pool.supplies.set(period, supply)
    sweep()
    return supply
  }

  /** Once in a period: what is over, and who asked for nothing in it. */
  function sweep(): void {
    const now = statusLists.statusPeriod(clock.now().getTime() / 1000)
    if (now === sweptIn) return
    sweptIn = now
    for (const [key, { supplies, waiting }] of pools) {
      for (const [period, { leasing }] of supplies) if (period < now && !leasing) supplies.delete(period)
      if (supplies.size === 0 && waiting === 0) pools.delete(key)
    }
    for (const [uri, { period }] of orders) if (period < now) orders.delete(uri)
  }

  function orderOf(uri: string, listId: Buffer, period: number): Permutation {
    const known = orders.get(uri)
    if (known) return known.permute
    const permute = permutationOf(secrets, listId)
    orders.set(uri, { period, permute })
    return permute
  }

  /**
   * A block is ended as a whole, by the time of its lease. So after a not-before nothing more is taken from it: what comes
   * later is good, and must not stand among what is set.
   */
  function isUsable({ targets }: Pool, block: Block, iat: number): boolean {
    if (block.next === block.end) return false
    // Of users' tokens each is found by its own row.
    if (targets.length === 0) return true
    if (iat < block.iat) return false
    const earliest = revocations.earliestIat(targets, new Date(block.iat * 1000))
    return earliest === undefined || earliest <= block.iat
  }

  function takeFrom(pool: Pool, supply: Supply, { iat, exp }: StatusRequest): TakenIndex | undefined {
    let block = supply.blocks[0]
    while (block && !isUsable(pool, block, iat)) {
      supply.left -= block.end - block.next
      supply.blocks.shift()
      block = supply.blocks[0]
    }
    if (!block) return undefined
    supply.left--
    supply.given++
    const { listId, memberStart } = block
    const idx = block.permute(block.next++)
    const taken = { listId, idx, period: supply.period, member: `${memberStart}${idx}}}` }
    if (supply.left < pool.size >> 1) refill(pool, supply, iat)
    if (supply.given >= ahead.given && statusLists.statusPeriod(exp + ahead.seconds) > supply.period) {
      const next = supplyOf(pool, supply.period + 1)
      if (next.left === 0) refill(pool, next, iat)
    }
    return taken
  }

  function refill(pool: Pool, supply: Supply, iat: number): void {
    if (supply.leasing) return
    supply.leasing = lease(pool, supply, iat).finally(() => {
      supply.leasing = undefined
    })
    // Whoever waits for it hears of the error; who asked ahead of need asks again.
    supply.leasing.catch(() => undefined)
  }

  async function lease(pool: Pool, supply: Supply, iat: number): Promise<void> {
    adapt(pool)
    const { owner } = pool
    const size = Math.min(statusLists.largestStatusBlock, Math.max(pool.size, powerOfTwo(pool.waiting)))
    const item = {
      owner,
      size,
      period: supply.period,
      leasedAt: new Date(iat * 1000),
      newId: drawListId(random, secrets),
    }
    const leased = await statusLists.lease(db, item)
    if (!leased) return
    if (incarnation !== undefined && incarnation !== leased.incarnation) drop()
    incarnation = leased.incarnation
    const { listId } = leased
    const uri = listUri(issuer, listId)
    supply.blocks.push({
      listId,
      memberStart: `"status":{"status_list":{"uri":${JSON.stringify(uri)},"idx":`,
      permute: orderOf(uri, listId, supply.period),
      iat,
      next: leased.first,
      end: leased.first + size,
    })
    supply.left += size
  }

  /** Doubles what was used up too soon, and halves what lasted too long. */
  function adapt(pool: Pool): void {
    const now = clock.now().getTime() / 1000
    const lasted = now - pool.leasedAt
    if (pool.leasedAt !== 0 && lasted < wanted.least)
      pool.size = Math.min(pool.size * 2, statusLists.largestStatusBlock)
    else if (lasted > wanted.most) pool.size = Math.max(pool.size / 2, smallestBlock)
    pool.leasedAt = now
  }

  function drop(): void {
    // Those who wait in an old pool go on there, with the block that they wait for, and leave it with them.
    pools = new Map()
  }

  return {
    take(request) {
      const pool = poolOf(request)
      return takeFrom(pool, supplyOf(pool, statusLists.statusPeriod(request.exp)), request)
    },

    async lease(request) {
      const pool = poolOf(request)
      const supply = supplyOf(pool, statusLists.statusPeriod(request.exp))
      pool.waiting++
      try {
        for (;;) {
          refill(pool, supply, request.iat)
          await supply.leasing
          const taken = takeFrom(pool, supply, request)
          if (taken) return taken
        }
      } finally {
        pool.waiting--
      }
    },

    drop,
  }
}

function powerOfTwo(least: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, least)))
}
