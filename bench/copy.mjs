// COPY … FROM STDIN in PostgreSQL's binary format: rows are written into a buffer, without a text in between.

import { once } from 'node:events'
import copyStreams from 'pg-copy-streams'

const chunk = 1 << 18
/** No row of ours is longer. */
const longestRow = 4_096
/** Microseconds between 1970, where JavaScript counts from, and 2000, where PostgreSQL does. */
const epoch = 946_684_800_000_000

/**
 * @param columns their names
 * @param rows how many
 * @param write gets the row to write to and its number; writes every column in their order
 */
export async function copyRows(client, table, columns, rows, write, options = '') {
  const stream = client.query(
    copyStreams.from(`COPY ${table} (${columns.join(', ')}) FROM STDIN (FORMAT binary${options})`),
  )
  const ended = once(stream, 'finish')
  // Awaited at the end; until then a failure must not count as unhandled.
  ended.catch(() => undefined)
  const row = createRow()
  row.header()
  for (let index = 0; index < rows; index++) {
    row.begin(columns.length)
    write(row, index)
    if (row.length > chunk - longestRow && !stream.write(row.take())) await once(stream, 'drain')
  }
  row.trailer()
  stream.end(row.take())
  await ended
}

function createRow() {
  let buffer = Buffer.allocUnsafe(chunk)
  let at = 0
  const int = (value) => {
    at = buffer.writeInt32BE(value, at)
  }
  return {
    get length() {
      return at
    },
    take() {
      const taken = buffer.subarray(0, at)
      buffer = Buffer.allocUnsafe(chunk)
      at = 0
      return taken
    },
    header() {
      at += Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1').copy(buffer, at)
    },
    trailer() {
      at = buffer.writeInt16BE(-1, at)
    },
    begin(columns) {
      at = buffer.writeInt16BE(columns, at)
    },
    null() {
      int(-1)
    },
    int(value) {
      int(4)
      int(value)
    },
    bool(value) {
      int(1)
      at = buffer.writeUInt8(value ? 1 : 0, at)
    },
    /** @param value milliseconds since 1970 */
    time(value) {
      const microseconds = value * 1000 - epoch
      int(8)
      int(Math.floor(microseconds / 2 ** 32))
      at = buffer.writeUInt32BE(microseconds >>> 0, at)
    },
    text(value) {
      const start = at
      at += 4
      at += buffer.write(value, at)
      buffer.writeInt32BE(at - start - 4, start)
    },
    bytes(value) {
      int(value.length)
      at += value.copy(buffer, at)
    },
    /** As many bytes as `fill` gives words of 32 bits: for hashes and ids that are drawn. */
    words(count, fill) {
      int(count * 4)
      for (let index = 0; index < count; index++) at = buffer.writeUInt32BE(fill() >>> 0, at)
    },
  }
}

/** The bytes of a text[]. */
export function textArray(values) {
  const parts = values.map((value) => {
    const text = Buffer.from(value)
    const length = Buffer.alloc(4)
    length.writeInt32BE(text.length)
    return Buffer.concat([length, text])
  })
  const head = Buffer.alloc(values.length > 0 ? 20 : 12)
  head.writeInt32BE(values.length > 0 ? 1 : 0, 0)
  // The type of its elements: text.
  head.writeInt32BE(25, 8)
  if (values.length > 0) {
    head.writeInt32BE(values.length, 12)
    head.writeInt32BE(1, 16)
  }
  return Buffer.concat([head, ...parts])
}
