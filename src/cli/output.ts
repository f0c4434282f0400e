import { AdministrationError } from '../platform/administration-errors.js'
import { displayText } from '../ui/index.js'
import type { CommandIo } from './command.js'

export interface Column<Row> {
  readonly title: string
  readonly value: (row: Row) => string
  /** Gives way when the terminal is narrow. Others keep their width. */
  readonly flexible?: boolean
}

const gap = '  '
const leastWidth = 8

/** Rows under titles, no wider than the terminal: what is too long ends in an ellipsis. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[], width: number): string {
  const cells = rows.map((row) => columns.map((column) => cell(column.value(row))))
  const widths = columns.map(({ title }, index) =>
    Math.max(title.length, ...cells.map((row) => length(row[index] ?? ''))),
  )
  shrink(widths, columns, width)
  const line = (row: readonly string[]): string =>
    row
      .map((text, index) => fit(text, widths[index] ?? 0))
      .join(gap)
      .trimEnd()
  return `${[columns.map(({ title }) => title), ...cells].map(line).join('\n')}\n`
}

/** Takes from the widest flexible column until the rest fits. */
function shrink<Row>(widths: number[], columns: readonly Column<Row>[], width: number): void {
  let surplus = widths.reduce((sum, each) => sum + each, 0) + gap.length * (widths.length - 1) - width
  while (surplus > 0) {
    let widest = -1
    columns.forEach(({ flexible }, index) => {
      const candidate = widths[index] ?? 0
      if (flexible && candidate > leastWidth && candidate > (widths[widest] ?? 0)) widest = index
    })
    if (widest < 0) return
    widths[widest] = (widths[widest] ?? 0) - 1
    surplus--
  }
}

/** What is not read by a person is not cut to a width. */
export function widthOf({ stdout }: CommandIo): number {
  return stdout.isTTY ? (stdout.columns ?? 80) : Number.POSITIVE_INFINITY
}

/** Standard output cannot be written: whoever read it is gone, say. */
export class OutputClosedError extends AdministrationError {
  readonly kind = 'output_closed'
}

/** Resolves when it is written: whoever reads a pipe may still not read it. @throws {OutputClosedError} */
export async function print({ stdout }: CommandIo, text: string): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      stdout.write(text, (error) => (error ? reject(error) : resolve()))
    })
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : ''
    throw new OutputClosedError(`Standard output cannot be written any more${code}: it was cut off.`, { cause: error })
  }
}

/** Names and values, one pair a line; a value that is undefined or empty is left out. */
export function pairs(entries: readonly (readonly [name: string, value: string | undefined])[]): string {
  const shown = entries.flatMap(([name, value]) => (value ? [[name, cell(value)] as const] : []))
  const width = Math.max(0, ...shown.map(([name]) => name.length))
  return shown.map(([name, value]) => `  ${name.padEnd(width)}  ${value}\n`).join('')
}

/** As tables and lists show a time: UTC, to the second. */
export function timeText(time: Date | undefined): string {
  return time ? `${time.toISOString().slice(0, 19).replace('T', ' ')}Z` : '-'
}

/** A JSON document as `--json` prints it. */
export function jsonText(document: unknown): string {
  return `${JSON.stringify(document, null, 2)}\n`
}

/** One line that cannot move the cursor, forge another line or turn the direction of the text (attack 131). */
function cell(text: string): string {
  return displayText(text, 4096) || '-'
}

function length(text: string): number {
  return [...text].length
}

function fit(text: string, width: number): string {
  const characters = [...text]
  if (characters.length <= width) return text + ' '.repeat(width - characters.length)
  return `${characters.slice(0, Math.max(0, width - 1)).join('')}…`
}

/** Broken between words. @param indent before each line but the first */
export function wrap(text: string, width: number, indent = ''): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = indent + word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  return `${[...lines, line].join('\n')}\n`
}
