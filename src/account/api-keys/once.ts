import { drawApiKeyId, isApiKeyId } from '../../api-keys/index.js'
import type { Context } from '../../context.js'
import { checkCsrfToken, csrfToken } from '../../http/index.js'
import type { Session } from '../../store/index.js'

/**
 * A form carries the id that its key will have: however often it is sent, by a double click or a page that is loaded again,
 * one key is made, since an id is a primary key. Signed, so that nobody chooses an id for themselves.
 */
export function drawFormKeyId(ctx: Context, session: Session): string {
  const id = drawApiKeyId(ctx.random)
  return `${id}.${csrfToken(keyOf(ctx), session.id, formOf(id))}`
}

/** @returns undefined where we did not draw it for this session */
export function readFormKeyId(ctx: Context, session: Session, text: unknown): string | undefined {
  const [id = '', token] = typeof text === 'string' ? text.split('.', 2) : []
  return isApiKeyId(id) && checkCsrfToken(keyOf(ctx), session.id, formOf(id), token) ? id : undefined
}

const formOf = (id: string): string => `api key ${id}`
const keyOf = (ctx: Context): Buffer => ctx.secrets.current.derive('form token')
