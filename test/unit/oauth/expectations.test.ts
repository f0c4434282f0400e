import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { expectationOf } from '../../../src/oauth/index.js'

const root = fileURLToPath(new URL('../../../src/', import.meta.url))

/** Where requests of clients are refused. */
const folders = ['oauth', 'protocol', 'clients/authentication', 'clients/keys', 'interaction', 'tokens']

const readAll = (folder: string): readonly string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name) && name !== 'expectations.ts')
    .map((name) => readFileSync(join(root, folder, name), 'utf8'))

const sources = folders.flatMap(readAll)

/** The reasons in the text: of errors, and those that the small functions which throw them are given. */
function reasonsIn(source: string): readonly string[] {
  const given = new RegExp(
    [
      /\breason: (?:[^'\n]*\? )?'(\w+)'(?: : '(\w+)')?/,
      /\breason = (?:[^'\n]*\? )'(\w+)' : '(\w+)'/,
      /\b(?:refuse|refused|invalidCode|invalidToken)\((?:ctx, )?'(\w+)'\)/,
      /\bwrong\('(\w+)',/,
      /\binvalid\((?:'[^'\n]*'|`[^`\n]*`), '(\w+)'\)/,
      /\breturn '(url_\w+)'/,
    ]
      .map(({ source }) => source)
      .join('|'),
    'g',
  )
  return [...source.matchAll(given)].flatMap(([, ...found]) => found.filter((reason) => reason !== undefined))
}

/** Whose message says it all, that are about an API or this server and no client's request, or that are no refusals. */
const others = new Set([
  ...['client_deleted', 'password_changed', 'key_revoked', 'revoked_by_client', 'revoked_by_http'],
  ...['revoked_by_user', 'revoked_by_operator', 'ended_by_user', 'leaked', 'timeout', 'status_400', 'no_logout_uri'],
  ...['not_configured', 'database_away', 'key_changed', 'signing_alg_unknown', 'stopping', 'streams_too_many'],
  ...['connection_not_free'],
  ...['rate_limits_away', 'heartbeat_out_of_range', 'position_malformed', 'history_not_supported', 'list_unknown'],
  ...[
    'not_acceptable',
    'not_a_resource_server',
    'lease_malformed',
    'report_malformed',
    'report_too_long',
    'reports_too_many',
  ],
  ...['body_invalid', 'credential_changes', 'credential_missing', 'credentials_mixed', 'gateway_credential_repeated'],
  ...[
    'gateway_credential_malformed',
    'body_cut',
    'body_slow',
    'gateway_of_another_name',
    'kind_not_accepted',
    'key_of_another',
    'key_set_unclear',
    'cursor_malformed',
  ],
  ...[
    'logo_missing',
    'client_no_service',
    'snapshots',
    'signed_reports',
    'envelope_invalid',
    'client_document_readings',
    'client_document_slow',
  ],
  ...['client_documents_full', 'unexpected', 'aborted'],
])

t.test('each refusal of the protocol says what was expected, and where that stands', async (t) => {
  const reasons = new Set(sources.flatMap(reasonsIn))
  t.ok(reasons.size > 100, `${reasons.size} reasons`)
  const prefixes = ['', 'request_uri_', 'login_', 'assertion_', 'request_object_', 'client_document_']
  t.same(
    [...reasons]
      .filter((each) => !others.has(each) && prefixes.every((prefix) => !expectationOf(prefix + each)))
      .sort(),
    [],
  )
  t.same(
    [...others].filter((each) => expectationOf(each)),
    [],
    'what is explained is no exception',
  )
})

t.test('sections are of documents, and nothing is said of what came', async (t) => {
  const cited =
    /^(?:(?:RFC \d{4}|OAuth 2\.1|OIDC Core|OIDC Registration|Multiple Response Types|RP-Initiated Logout|CIMD) (?:§|App\. )|and$)/
  const everywhere = readAll('').filter((source) => !source.includes('const clientAuthentication: Entries'))
  const catalogue = readFileSync(join(root, 'oauth/expectations.ts'), 'utf8')
  const entries = [...catalogue.matchAll(/^ {2}(\w+): \[\s*'(.+?)',\s*'(.+?)',?\s*\],$/gm)]
  t.ok(entries.length > 130, `${entries.length} entries`)
  for (const [, reason = '', expected = '', section = ''] of entries) {
    t.match(section, cited, reason)
    t.notMatch(expected, /\.$|^[A-Z][a-z]+ [a-z]/, `${reason} goes on from "expected"`)
    const names = [reason, reason.replace(/^login_/, '')]
    t.ok(
      names.some((name) => everywhere.some((source) => source.includes(`'${name}'`))),
      `${reason} is one that there is`,
    )
  }
})

t.test('a reason of a JWT is found behind what it is used for', async (t) => {
  t.same(expectationOf('assertion_aud_wrong'), {
    expected: 'aud: the issuer of this server',
    section: 'RFC 7523 §3, RFC 9101 §4',
  })
  t.match(expectationOf('request_object_expired'), { section: 'RFC 7519 §4.1.4' })
  t.match(expectationOf('assertion_outbound_timeout'), { expected: 'an answer within three seconds' })
  t.match(expectationOf('code_verifier_wrong'), { section: 'RFC 7636 §4.6' })
  t.match(expectationOf('request_uri_not_200'), { section: 'RFC 9101 §5.2.3' })
  t.match(expectationOf('client_document_not_200'), { section: 'CIMD §4' })
  t.match(expectationOf('assertion_client_document_not_200'), { section: 'CIMD §4' })
  t.match(expectationOf('assertion_client_document_asked_just_before'), { section: 'CIMD §4.4' })
  t.match(expectationOf('client_document_client_id_differs'), { section: 'CIMD §4.1' })
  for (const reason of ['', 'toString', 'assertion_toString', 'revoked_by_user', '__proto__'])
    t.equal(expectationOf(reason), undefined)
})
