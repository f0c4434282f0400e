import t from 'tap'
import { acceptsGzip, acceptsType } from '../../../src/protocol/status-list/accept.js'
import { encodeStatusList } from '../../../src/protocol/status-list/encode.js'
import { decodeStatusList, statusAt } from '../../support/status-list-decoder.js'
import { statusListVectors } from '../../support/status-list-vectors.js'

for (const { bits, size, statuses, lst } of statusListVectors) {
  t.test(
    `Token Status List, appendix C: ${bits} bits, ${size} statuses, read by the decoder of the tests`,
    async (t) => {
      const list = decodeStatusList({ bits, lst })
      t.equal(list.bytes.length, (size * bits) / 8)
      const expected = new Map(statuses)
      let wrong = 0
      for (let index = 0; index < size; index++) if (statusAt(list, index) !== (expected.get(index) ?? 0)) wrong++
      t.equal(wrong, 0)
      t.throws(() => statusAt(list, size), /out of bounds/, '§8.3, step 6')
    },
  )

  if (bits !== 1) continue
  t.test(`Token Status List, appendix C: our encoder writes the list of ${size} that the vector holds`, async (t) => {
    const bytes = new Uint8Array(size / 8)
    for (const [index, status] of statuses) bytes[index >> 3]! |= status << (index & 7)
    const encoded = await encodeStatusList(bytes)
    t.equal(encoded.bits, 1)
    t.same(decodeStatusList(encoded).bytes, decodeStatusList({ bits, lst }).bytes)
    // Another zlib may find other matches; it must not need much more.
    t.ok(encoded.lst.length <= lst.length * 1.1, `${encoded.lst.length} characters, the vector has ${lst.length}`)
    t.equal(Buffer.from(encoded.lst, 'base64url')[0], 0x78, 'RFC 1950 §2.2: DEFLATE with a window of 32 KiB')
  })
}

t.test('the decoder of the tests refuses what the specification does not allow', async (t) => {
  t.throws(() => decodeStatusList({ bits: 3, lst: 'eNrbuRgAAhcBXQ' }))
  t.throws(() => decodeStatusList({ bits: 1, lst: 'eNrbuRgAAhcBXQ==' }))
  t.throws(() => decodeStatusList({ bits: 1, lst: 'AAAA' }))
})

t.test('RFC 9110 §12.5.1: who accepts a status list', async (t) => {
  const type = 'application/statuslist+jwt'
  for (const field of [
    undefined,
    '',
    '*/*',
    'application/*',
    type,
    'text/html, */*;q=0.1',
    `${type};q=0.5`,
    type.toUpperCase(),
  ])
    t.ok(acceptsType(field, type), String(field))
  for (const field of [
    'application/statuslist+cwt',
    'text/html',
    `${type};q=0, */*`,
    `*/*;q=0`,
    'application/json, text/*',
  ])
    t.notOk(acceptsType(field, type), field)
})

t.test('RFC 9110 §12.5.3: who accepts gzip', async (t) => {
  for (const field of ['gzip', 'br, gzip;q=0.5', '*', 'x-gzip']) t.ok(acceptsGzip(field), field)
  for (const field of [undefined, '', 'br', 'gzip;q=0', 'identity', 'gzip;q=0, *'])
    t.notOk(acceptsGzip(field), String(field))
})
