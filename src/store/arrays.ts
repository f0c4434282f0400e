/**
 * An array parameter of a hot statement, which the driver sends in PostgreSQL's binary format: neither side writes, escapes
 * and reads it as text, which cost more than the lookups that it is for.
 */
export interface ArrayParameter {
  readonly values: readonly unknown[]
  /** Asked by pg; a Buffer goes as a binary parameter. */
  readonly toPostgres: () => Buffer
}

type Values<T> = readonly (T | undefined)[]

/** The element's object id in pg_type, which never changes. */
const oids = { bytea: 17, int4: 23, text: 25, timestamptz: 1184, uuid: 2950, jsonb: 3802 }

const headerLength = 20
const noDimensions = 12

/** One dimension from 1, as `array_recv` reads it: dimensions, whether there are NULLs, type, length, lower bound. */
function header(oid: number, count: number, hasNull: boolean, dataLength: number): Buffer {
  const buffer = Buffer.allocUnsafe(count === 0 ? noDimensions : headerLength + 4 * count + dataLength)
  buffer.writeInt32BE(count === 0 ? 0 : 1, 0)
  buffer.writeInt32BE(hasNull ? 1 : 0, 4)
  buffer.writeInt32BE(oid, 8)
  if (count === 0) return buffer
  buffer.writeInt32BE(count, 12)
  buffer.writeInt32BE(1, 16)
  return buffer
}

/** Elements of one length. */
function fixed<T>(oid: number, length: number, values: Values<T>, write: (to: Buffer, value: T, at: number) => void) {
  const nulls = values.reduce((count, value) => (value === undefined ? count + 1 : count), 0)
  const buffer = header(oid, values.length, nulls > 0, length * (values.length - nulls))
  let at = headerLength
  for (const value of values) {
    buffer.writeInt32BE(value === undefined ? -1 : length, at)
    at += 4
    if (value === undefined) continue
    write(buffer, value, at)
    at += length
  }
  return buffer
}

/** Elements that are bytes already. */
function variable(oid: number, values: Values<Uint8Array>) {
  let length = 0
  let hasNull = false
  for (const value of values) {
    if (value === undefined) hasNull = true
    else length += value.length
  }
  const buffer = header(oid, values.length, hasNull, length)
  let at = headerLength
  for (const value of values) {
    buffer.writeInt32BE(value === undefined ? -1 : value.length, at)
    at += 4
    if (value === undefined) continue
    buffer.set(value, at)
    at += value.length
  }
  return buffer
}

/** `int[]` */
export function ints(values: Values<number>): ArrayParameter {
  const write = (to: Buffer, value: number, at: number) => to.writeInt32BE(value, at)
  return { values, toPostgres: () => fixed(oids.int4, 4, values, write) }
}

/** `bytea[]` */
export function byteas(values: Values<Uint8Array>): ArrayParameter {
  return { values, toPostgres: () => variable(oids.bytea, values) }
}

/** `text[]` */
export function texts(values: Values<string>): ArrayParameter {
  const encoded = () => values.map((value) => (value === undefined ? undefined : Buffer.from(value)))
  return { values, toPostgres: () => variable(oids.text, encoded()) }
}

/** `jsonb[]`. Each element begins with the version of the format. */
export function jsonbs(values: Values<object>): ArrayParameter {
  const json = values.map((value) => value && JSON.stringify(value))
  const encoded = () => json.map((text) => (text === undefined ? undefined : Buffer.from(`\u0001${text}`)))
  return { values: json, toPostgres: () => variable(oids.jsonb, encoded()) }
}

/** `uuid[]`. @throws for a text that is none */
export function uuids(values: Values<string>): ArrayParameter {
  return { values, toPostgres: () => fixed(oids.uuid, 16, values, writeUuid) }
}

function writeUuid(to: Buffer, value: string, at: number): void {
  const digits = value.replaceAll('-', '')
  if (digits.length !== 32 || to.write(digits, at, 'hex') !== 16) throw new TypeError('not a UUID')
}

/** 2000-01-01, from which PostgreSQL counts. Milliseconds since 1970. */
const epoch = 946_684_800_000

/** `timestamptz[]` */
export function times(values: Values<Date>): ArrayParameter {
  return { values, toPostgres: () => fixed(oids.timestamptz, 8, values, writeTime) }
}

/** Microseconds, of which a double holds all that a Date can say: as two halves, since a BigInt costs more. */
function writeTime(to: Buffer, value: Date, at: number): void {
  const microseconds = (value.getTime() - epoch) * 1000
  const high = Math.floor(microseconds / 2 ** 32)
  to.writeInt32BE(high, at)
  to.writeUInt32BE(microseconds - high * 2 ** 32, at + 4)
}
