import t from 'tap'
import { oneAtATime } from '../../../src/platform/one-at-a-time.js'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

function manualReads() {
  const reads: { resolve: (value: number) => void; reject: (error: unknown) => void }[] = []
  const ask = oneAtATime(() => new Promise<number>((resolve, reject) => reads.push({ resolve, reject })))
  return { reads, ask }
}

t.test('whoever asks while one runs gets the next, and all of them the same', async (t) => {
  const { reads, ask } = manualReads()
  const first = ask()
  await turn()
  t.equal(reads.length, 1)
  const others = Array.from({ length: 100 }, ask)
  await turn()
  t.equal(reads.length, 1, 'one at a time')

  reads[0]!.resolve(1)
  t.equal(await first, 1)
  await turn()
  t.equal(reads.length, 2, 'it began after they had asked')
  reads[1]!.resolve(2)
  t.same(new Set(await Promise.all(others)), new Set([2]))
  t.equal(reads.length, 2)
})

t.test('what fails concerns those who asked for it', async (t) => {
  const { reads, ask } = manualReads()
  const first = ask()
  await turn()
  const second = ask()
  reads[0]!.reject(new Error('lost'))
  await t.rejects(first, { message: 'lost' })
  await turn()
  reads[1]!.resolve(2)
  t.equal(await second, 2)
})
