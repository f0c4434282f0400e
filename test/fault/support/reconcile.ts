import type { Test } from 'tap'
import { type BackOffice, inBackOffice } from './back-office.js'
import { chance } from './chance.js'
import { failureKey } from './failure-window.js'
import { guessBound, type History } from './history.js'
import type { Installation, ManagedProcess } from './installation.js'
import { nameOf } from './ledger.js'
import { check } from './linearizability.js'
import type { Family, Holdings, Load } from './load.js'
import { askPorcupine } from './porcupine.js'
import { type Answer, openRequester, type Requester } from './requester.js'
import {
  clientCredentials,
  guess,
  introspect,
  redeem,
  refresh,
  revokeGrant,
  revokeToken,
  tokensOf,
} from './requests.js'
import { record } from './rows.js'
import { openVisitor } from './visitor.js'

/** What was done to the installation, for the report. */
export interface FaultReport {
  /** In a few words, as a row of a table begins. */
  readonly fault: string
  /** How often it was done. */
  readonly rounds: number
  /** What the table has no column for. */
  readonly remark?: string
}

/**
 * When the fault is over and all processes run: stops the load, and holds what its clients were told against what the
 * server says now. Fails the test at every difference, and writes a row for the report.
 */
export async function reconcile(t: Test, installation: Installation, load: Load, report: FaultReport): Promise<void> {
  const holdings = await load.stop()
  const { ledger } = load
  const requester = openRequester(installation, ledger, 'reconciliation', chance(`${load.seed}/reconciliation`))
  t.teardown(() => requester.close())
  const lost: string[] = []
  const doubled: string[] = []

  for (const server of installation.servers) {
    t.ok(await servesEverything(installation, load, requester, server), `${server.name} serves requests of every kind`)
  }
  await compareHoldings(installation, load, requester, holdings, lost, doubled)
  let database = ''
  await inBackOffice(installation, async (office) => {
    const [shown] = await office.sql('SHOW server_version')
    database = String(shown?.['server_version'])
    doubled.push(...(await doubledRows(office)))
    lost.push(...(await countedGuesses(office, load, doubled)))
  })

  t.same(ledger.surprises, [], 'every answer is one that the protocol allows')
  t.same(ledger.unexplained(), [], 'every client got an answer, or the fault explains why not')
  t.same(lost, [], 'nothing that was acknowledged is lost')
  t.same(doubled, [], 'nothing was spent twice')

  const histories = ledger.histories()
  const failed = histories.flatMap((history) => {
    const verdict = check(history)
    return verdict === 'linearizable' ? [] : [describe(verdict, history)]
  })
  t.same(failed, [], `${histories.length} histories are linearizable`)
  const second = await askPorcupine(histories)
  if (second.skipped === undefined) t.same(second.failed, [], 'porcupine says so, too')
  else t.comment(`porcupine was not asked: ${second.skipped}`)

  const totals = ledger.totals()
  t.comment(JSON.stringify(totals))
  await record({
    ...report,
    ...totals,
    seed: load.seed,
    lost: lost.length,
    doubled: doubled.length,
    histories: histories.length,
    failed: failed.length + (second.failed?.length ?? 0),
    porcupine: second.skipped === undefined,
    database,
  })
}

/** One request of each kind, from a new client, at this process alone. */
async function servesEverything(
  installation: Installation,
  { people, ledger }: Load,
  requester: Requester,
  server: ManagedProcess,
): Promise<boolean> {
  const fresh = openRequester({ ...installation, servers: [server] }, ledger, `new at ${server.name}`, requester.chance)
  try {
    const service = await fresh.ask(clientCredentials(people))
    const code = await openVisitor(people, fresh).code()
    const key = nameOf(code.value)
    const redeemed = await fresh.ask(redeem(people, code))
    if (service?.status !== 200 || redeemed?.status !== 200) return false
    const refreshed = await fresh.ask(refresh(people, key, tokensOf(redeemed).refresh))
    if (refreshed?.status !== 200) return false
    const tokens = tokensOf(refreshed)
    const about = { model: 'grant', key } as const
    const active = await fresh.ask(introspect(people, tokens.access, about))
    const revoked = await fresh.ask(revokeGrant(people, key, tokens.refresh))
    const inactive = await fresh.ask(introspect(people, tokens.access, about))
    const { access } = tokensOf(service)
    const other = { model: 'token', key: nameOf(access) } as const
    const taken = await fresh.ask(revokeToken(people, access))
    const gone = await fresh.ask(introspect(people, access, other))
    const guessed = await fresh.ask(guess(people.spare))
    return (
      active !== undefined &&
      isActive(active.body) &&
      revoked?.status === 200 &&
      inactive !== undefined &&
      !isActive(inactive.body) &&
      taken?.status === 200 &&
      gone !== undefined &&
      !isActive(gone.body) &&
      guessed?.status === 401
    )
  } finally {
    fresh.close()
  }
}

/** Whether an introspection says something else than its client knows. What is over by its own time is active for nobody. */
function differs({ body, late }: Answer, stands: boolean): boolean {
  if (late === 'certainly' || !stands) return isActive(body)
  return late === undefined && !isActive(body)
}

const isActive = (body: string): boolean => JSON.parse(body).active === true

/** Everything that a client holds at the end is tried once more, at every process. */
async function compareHoldings(
  { servers }: Installation,
  { people }: Load,
  requester: Requester,
  { families, tokens }: Holdings,
  lost: string[],
  doubled: string[],
): Promise<void> {
  for (const { access, revoked } of tokens) {
    const about = { model: 'token', key: nameOf(access) } as const
    for (const server of servers) {
      const answer = await requester.insist(introspect(people, access, about), server)
      if (differs(answer, !revoked)) lost.push(`${revoked ? 'a revocation' : 'a token'} at ${server.name}`)
    }
  }
  for (const family of families) {
    const about = { model: 'grant', key: family.key } as const
    for (const server of servers) {
      const answer = await requester.insist(introspect(people, family.tokens.access, about), server)
      if (differs(answer, !family.ended)) lost.push(`${family.ended ? 'an end' : 'a grant'} at ${server.name}`)
    }
    const answer = await requester.insist(refresh(people, family.key, family.tokens.refresh))
    if ((answer.status === 200) === family.ended) lost.push(`${family.ended ? 'an end' : 'a refresh token'}`)
    await tryWhatIsSpent(people, requester, family, doubled)
  }
}

/** The code, and a refresh token that was spent long ago. */
async function tryWhatIsSpent(
  people: Load['people'],
  requester: Requester,
  { key, code, old }: Family,
  doubled: string[],
): Promise<void> {
  if (old !== undefined && (await requester.insist(refresh(people, key, old))).status === 200) {
    doubled.push('a refresh token')
  }
  if ((await requester.insist(redeem(people, code))).status === 200) doubled.push('a code')
}

/** What the rows themselves say: one chain for each grant, one event for each thing that was spent. */
async function doubledRows({ sql, ctx }: BackOffice): Promise<readonly string[]> {
  await ctx.audit.flush()
  const questions: Readonly<Record<string, string>> = {
    'a grant with two refresh tokens that are good': `
      SELECT 1 FROM refresh_token GROUP BY grant_id HAVING count(*) FILTER (WHERE used_at IS NULL) > 1`,
    'a grant that has lost the end of its chain': `
      SELECT 1 FROM refresh_token GROUP BY grant_id HAVING count(*) FILTER (WHERE used_at IS NULL) = 0`,
    'a refresh token with two predecessors': `
      SELECT 1 FROM refresh_token WHERE successor_hash IS NOT NULL GROUP BY successor_hash HAVING count(*) > 1`,
    'a refresh token without the successor that it was spent for': `
      SELECT 1 FROM refresh_token t LEFT JOIN refresh_token n ON n.token_hash = t.successor_hash
       WHERE t.used_at IS NOT NULL AND n.token_hash IS NULL`,
    'a code that was redeemed twice': `
      SELECT 1 FROM audit_event WHERE type = 'code.redeemed' GROUP BY grant_id HAVING count(*) > 1`,
    'refreshes and their events differ': `
      SELECT 1 WHERE (SELECT count(*) FROM audit_event WHERE type = 'token.refreshed')
                  <> (SELECT count(*) FROM refresh_token WHERE used_at IS NOT NULL)`,
  }
  const found: string[] = []
  for (const [what, question] of Object.entries(questions)) {
    for (const _ of await sql(question)) found.push(what)
  }
  return found
}

/** Each guess that was told to be wrong was counted, and none was counted twice. @returns those that were not counted */
async function countedGuesses(
  { ctx, sql }: BackOffice,
  { people, ledger }: Load,
  doubled: string[],
): Promise<readonly string[]> {
  const lost: string[] = []
  for (const { clientId } of people.victims) {
    // One history for each window.
    const windows = ledger.histories().filter(({ model, key }) => model === 'failures' && key.startsWith(clientId))
    const key = failureKey(ctx, clientId)
    const [row] = await sql('SELECT sum(count)::int AS count FROM failure_count WHERE key = $1', [key])
    const counted = Number(row?.['count'] ?? 0)
    const told = windows.map(({ operations }) => operations.filter(({ answer }) => answer === 'wrong').length)
    const sent = windows.reduce((sum, { operations }) => sum + operations.length, 0)
    const wrong = told.reduce((sum, count) => sum + count, 0)
    if (counted < wrong) lost.push(`${wrong - counted} counts of a wrong secret`)
    if (counted > sent) doubled.push('a count of a wrong secret')
    if (told.some((count) => count > guessBound)) doubled.push('more guesses than the bound were answered')
  }
  return lost
}

function describe(verdict: string, { model, key, operations }: History): string {
  const lines = [...operations]
    .sort((a, b) => a.invoked - b.invoked)
    .map(({ client, invoked, returned, ...rest }) => {
      const until = returned === undefined ? '…' : returned.toFixed(1)
      return `${invoked.toFixed(1)}–${until} ${client}: ${JSON.stringify(rest)}`
    })
  return [`${model} ${key}: ${verdict}`, ...lines].join('\n')
}
