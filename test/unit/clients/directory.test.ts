import t from 'tap'
import { createClientDirectory } from '../../../src/clients/index.js'
import type { Database } from '../../../src/store/index.js'

interface Read {
  readonly name: string
  readonly key: string
  readonly answer: (rows: readonly object[]) => void
  readonly fail: (error: Error) => void
}

/** A directory whose reads the test answers, and whose clock the test moves. */
function open() {
  const reads: Read[] = []
  const clock = { milliseconds: 0 }
  const db = {
    query: (name: string, _text: string, [key]: [string]) =>
      new Promise<readonly object[]>((answer, fail) => reads.push({ name, key, answer, fail })),
  } as unknown as Database
  return { directory: createClientDirectory(db, () => clock.milliseconds), reads, clock }
}

const row = (clientId: string, clientName: string) => ({
  client_id: clientId,
  client_name: clientName,
  secrets: null,
  roles: null,
})

t.test('a client is read once, and found in memory from then on', async (t) => {
  const { directory, reads } = open()
  const found = directory.find('a')
  reads[0]!.answer([row('a', 'first')])
  t.match(await found, { clientId: 'a', clientName: 'first', secrets: [], roles: [] })
  t.equal(await directory.find('a'), await found)
  t.equal(reads.length, 1)
})

t.test('requests that come together share one read', async (t) => {
  const { directory, reads } = open()
  const found = Promise.all(Array.from({ length: 100 }, () => directory.find('a')))
  t.equal(reads.length, 1)
  reads[0]!.answer([row('a', 'first')])
  t.equal(new Set(await found).size, 1)
})

t.test('a read that fails concerns those who asked, and is not remembered', async (t) => {
  const { directory, reads } = open()
  const found = [directory.find('a'), directory.find('a')]
  reads[0]!.fail(new Error('lost'))
  for (const each of found) await t.rejects(each, { message: 'lost' })
  const again = directory.find('a')
  t.equal(reads.length, 2)
  reads[1]!.answer([row('a', 'first')])
  t.ok(await again)
})

t.test('what was dropped is read again', async (t) => {
  const { directory, reads } = open()
  const ask = async (client: string, name: string) => {
    const found = directory.find(client)
    reads.at(-1)?.answer([row(client, name)])
    return found
  }
  await ask('a', 'first')
  await ask('b', 'first')
  directory.drop('a')
  t.match(await ask('a', 'second'), { clientName: 'second' })
  t.match(await directory.find('b'), { clientName: 'first' }, 'and no other')
  directory.dropAll()
  t.match(await ask('b', 'second'), { clientName: 'second' })
})

t.test('what was dropped while it was being read is not remembered: it may be from before the change', async (t) => {
  for (const drop of ['drop', 'dropAll'] as const) {
    const { directory, reads } = open()
    const before = directory.find('a')
    directory[drop]('a')
    const after = directory.find('a')
    t.equal(reads.length, 2, 'whoever asks after the change gets a read of his own')
    reads[1]!.answer([row('a', 'new')])
    t.match(await after, { clientName: 'new' })
    reads[0]!.answer([row('a', 'old')])
    t.match(await before, { clientName: 'old' }, 'the request that was under way')
    t.match(await directory.find('a'), { clientName: 'new' })
    t.equal(reads.length, 2)
  }
})

t.test('a copy ages out within five seconds of its read, so a lost notification heals', async (t) => {
  const { directory, reads, clock } = open()
  const first = directory.find('a')
  // The read itself takes a second: its age counts from its beginning.
  clock.milliseconds = 1000
  reads[0]!.answer([row('a', 'first')])
  await first
  clock.milliseconds = 4999
  t.match(await directory.find('a'), { clientName: 'first' })
  clock.milliseconds = 5000
  const second = directory.find('a')
  t.equal(reads.length, 2)
  reads[1]!.answer([row('a', 'second')])
  t.match(await second, { clientName: 'second' })
})

t.test('names that nobody registered are not remembered: they must not push out those that are used', async (t) => {
  const { directory, reads } = open()
  for (let n = 0; n < 3; n++) {
    const found = directory.find('unknown')
    reads[n]!.answer([])
    t.equal(await found, undefined)
  }
  t.equal(reads.length, 3)
})

t.test('memory is bounded: the oldest copies go first', async (t) => {
  const { directory, reads } = open()
  for (let n = 0; n <= 20_000; n++) {
    const found = directory.find(`c${n}`)
    reads[n]!.answer([row(`c${n}`, 'name')])
    await found
  }
  await directory.find('c1')
  t.equal(reads.length, 20_001, 'the second is there')
  void directory.find('c0')
  t.equal(reads.length, 20_002, 'the first is gone')
})

t.test('Fetch §3.2: an origin is allowed as long as a client says so', async (t) => {
  const { directory, reads, clock } = open()
  const ask = async (rows: readonly object[]) => {
    const allowed = directory.isAllowedOrigin('https://app.example')
    reads.at(-1)?.answer(rows)
    return allowed
  }
  t.equal(await ask([]), false)
  t.equal(await ask([{}]), true, 'a no is not remembered')
  t.equal(await directory.isAllowedOrigin('https://app.example'), true)
  t.equal(reads.length, 2)
  directory.drop('any client')
  t.equal(await ask([]), false, 'any change of a client may concern it')
  t.equal(await ask([{}]), true)
  clock.milliseconds = 5000
  t.equal(await ask([]), false)
})
