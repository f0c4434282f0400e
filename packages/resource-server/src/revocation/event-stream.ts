import { abortable } from '../platform.js'

/** An event of a stream. HTML Standard §9.2.6. */
export interface StreamEvent {
  readonly type: string
  readonly data: string
  /** Of this very event; undefined where it has none. */
  readonly id: string | undefined
  /** Milliseconds; undefined where it says none. */
  readonly retry: number | undefined
}

/** Characters of one event: 50,000 entries and some. */
const longestEvent = 16 * 1024 * 1024

/**
 * The events of a body, as its bytes come in.
 *
 * @param onBytes called with every piece: the connection lives
 * @throws {Error} where an event is longer than any of ours
 */
export async function* readEvents(
  body: ReadableStream<Uint8Array>,
  onBytes: () => void,
  signal: AbortSignal,
): AsyncGenerator<StreamEvent> {
  const reader = body.getReader()
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let rest = ''
  let fields: Fields = {}
  try {
    for (;;) {
      const { done, value } = await abortable(reader.read(), signal)
      // An event that is not finished is none.
      if (done) return
      onBytes()
      const piece = decoder.decode(value, { stream: true })
      rest += piece
      if (rest.length + (fields.data?.length ?? 0) > longestEvent) throw new Error('an event is too long')
      // A long line comes in many pieces: it is split once, not with each of them.
      if (!piece.includes('\n')) continue
      const lines = rest.split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        const text = line.endsWith('\r') ? line.slice(0, -1) : line
        if (text !== '') {
          readField(fields, text)
          continue
        }
        const { type = 'message', data, id, retry } = fields
        fields = {}
        if (data !== undefined) yield { type, data, id, retry }
      }
    }
  } finally {
    // Whoever stops reading closes the connection.
    reader.cancel().catch(() => undefined)
  }
}

interface Fields {
  type?: string
  data?: string
  id?: string
  retry?: number
}

function readField(fields: Fields, line: string): void {
  const colon = line.indexOf(':')
  const name = colon < 0 ? line : line.slice(0, colon)
  const raw = colon < 0 ? '' : line.slice(colon + 1)
  const value = raw.startsWith(' ') ? raw.slice(1) : raw
  if (name === 'event') fields.type = value
  else if (name === 'data') fields.data = fields.data === undefined ? value : `${fields.data}\n${value}`
  else if (name === 'id') fields.id = value
  else if (name === 'retry' && /^\d{1,7}$/.test(value)) fields.retry = Number(value)
}
