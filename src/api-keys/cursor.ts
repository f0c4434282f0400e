import type { ApiKeyPosition } from '../store/index.js'
import { isApiKeyId } from './format.js'

/** Where the next page begins, as a text that says nothing to whoever holds it. Whatever it is, it shows no other keys. */
export function writeCursor({ createdAt, id }: ApiKeyPosition): string {
  return Buffer.from(`${createdAt.getTime()} ${id}`).toString('base64url')
}

/** @returns undefined for what `writeCursor` did not write */
export function readCursor(cursor: string): ApiKeyPosition | undefined {
  const [, time = '', id = ''] = /^(\d{1,14}) (.*)$/.exec(Buffer.from(cursor, 'base64url').toString('latin1')) ?? []
  const position = { createdAt: new Date(Number(time)), id }
  return isApiKeyId(id) && writeCursor(position) === cursor ? position : undefined
}
