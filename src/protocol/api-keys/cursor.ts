import { isApiKeyId } from '../../api-keys/index.js'
import { ProblemError } from '../../http/index.js'
import type { ApiKeyPosition } from '../../store/index.js'

/** Where the next page begins, as a text that says nothing to whoever holds it. Whatever it is, it shows no other keys. */
export function writeCursor({ createdAt, id }: ApiKeyPosition): string {
  return Buffer.from(`${createdAt.getTime()} ${id}`).toString('base64url')
}

/** @throws {ProblemError} for what `writeCursor` did not write */
export function readCursor(cursor: string): ApiKeyPosition {
  const [, time = '', id = ''] = /^(\d{1,14}) (.*)$/.exec(Buffer.from(cursor, 'base64url').toString('latin1')) ?? []
  const position = { createdAt: new Date(Number(time)), id }
  if (isApiKeyId(id) && writeCursor(position) === cursor) return position
  const detail = 'The cursor is none that this address gave.'
  throw new ProblemError(detail, {
    kind: 'invalid-value',
    reason: 'cursor_malformed',
    errors: [{ pointer: '/cursor', detail }],
  })
}
