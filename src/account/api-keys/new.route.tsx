import type { FastifyReply } from 'fastify'
import { createApiKey } from '../../api-keys/index.js'
import type { Context } from '../../context.js'
import { seeOther, sendPage } from '../../http/index.js'
import type { Parameters } from '../../oauth/index.js'
import type { AccountRoute, AccountVisit } from '../frame.js'
import { type FormFailure, failureOf } from './failure.js'
import { type FilledForm, NewKeyPage } from './new.page.js'
import { drawFormKeyId, readFormKeyId } from './once.js'
import { countForm, findOwnKeyIfAny, ownerOf, viewOf } from './own.js'
import { offeredScopes, readChoices, type ScopeGroup } from './scope-choices.js'
import { MadeBeforePage, SecretPage } from './secret.page.js'

const day = 86_400

/** Makes a key. The answer to the form is the page that shows it: it stands in no address, and in nothing that is kept. */
export function newKeyRoute(ctx: Context): AccountRoute {
  return {
    url: '/account/api-keys/new',
    recent: true,
    repeatable: ['scope'],
    async show(visit) {
      const groups = await offeredScopes(ctx, visit.session.userId)
      return sendForm(ctx, visit, 200, groups, emptyForm(ctx, visit))
    },

    async submit(visit, form) {
      const { reply, session, base, by } = visit
      const id = readFormKeyId(ctx, session, form['key_id'])
      // Nothing of ours was sent: the form is shown anew.
      if (id === undefined) return seeOther(reply, `${base}/api-keys/new`)
      await countForm(ctx, visit)
      const groups = await offeredScopes(ctx, session.userId)
      const filled = readForm(form)
      try {
        const { key, text } = await createApiKey(
          ctx,
          { ...requestOf(ctx, groups, filled), id, owner: ownerOf(session) },
          by,
        )
        return sendPage(reply, 200, <SecretPage base={base} view={await viewOf(ctx, key, base)} text={text} />)
      } catch (error) {
        const failure = failureOf(error)
        const made = failure.status === 409 ? await findOwnKeyIfAny(ctx, session, id) : undefined
        if (!made) return sendForm(ctx, visit, failure.status, groups, filled, failure)
        return sendPage(reply, 409, <MadeBeforePage base={base} view={await viewOf(ctx, made, base)} />)
      }
    },
  }
}

function sendForm(
  ctx: Context,
  { reply, base, csrfToken }: AccountVisit,
  status: number,
  groups: readonly ScopeGroup[],
  filled: FilledForm,
  failure?: FormFailure,
): FastifyReply {
  const lifetimes = lifetimesOf(ctx)
  return sendPage(reply, status, <NewKeyPage {...{ base, csrfToken, groups, lifetimes, filled, failure }} />)
}

/** Seconds: the usual ones, and what this server would choose. */
function lifetimesOf(ctx: Context): readonly number[] {
  return [...new Set([30 * day, 90 * day, 365 * day, ctx.config.apiKeys.lifetime])].sort((a, b) => a - b)
}

function emptyForm(ctx: Context, { session }: AccountVisit): FilledForm {
  return {
    keyId: drawFormKeyId(ctx, session),
    ...{ name: '', description: '', environment: 'live', kind: 'secret', origins: '', networks: '', ticked: new Set() },
    lifetime: String(ctx.config.apiKeys.lifetime),
  }
}

function readForm(form: Parameters): FilledForm {
  const text = (name: string): string => {
    const value = form[name]
    return typeof value === 'string' ? value : ''
  }
  return {
    keyId: text('key_id'),
    name: text('name'),
    description: text('description'),
    environment: text('environment'),
    kind: text('kind') === 'publishable' ? 'publishable' : 'secret',
    origins: text('origins'),
    networks: text('networks'),
    ticked: new Set([form['scope'] ?? []].flat()),
    lifetime: text('expires_in'),
  }
}

/** @throws {InvalidValueError} */
function requestOf(ctx: Context, groups: readonly ScopeGroup[], filled: FilledForm) {
  const { name, description, environment, kind, lifetime } = filled
  return {
    name,
    kind,
    description: description === '' ? undefined : description,
    environment: environment === '' ? undefined : environment,
    ...readChoices(groups, filled.ticked),
    networks: wordsOf(filled.networks),
    origins: wordsOf(filled.origins),
    // Of the choices alone; without one, as long as the server's setting says.
    lifetime:
      lifetime === 'never' ? ('never' as const) : lifetimesOf(ctx).find((seconds) => String(seconds) === lifetime),
  }
}

/** What was typed with spaces or commas between. */
export function wordsOf(text: string): readonly string[] {
  return text.split(/[\s,]+/).filter((word) => word !== '')
}
