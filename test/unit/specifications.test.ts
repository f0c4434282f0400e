import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'

const root = new URL('../../', import.meta.url)
const text = readFileSync(new URL('docs/specifications.md', root), 'utf8')

interface Row {
  readonly heading: string
  readonly section: string
  readonly what: string
  readonly state: string
}

/** The rows of all tables, without their heads. */
const rows: readonly Row[] = text.split(/^## /m).flatMap((part) => {
  const [heading = '', ...lines] = part.split('\n')
  return lines
    .filter((line) => line.startsWith('| ') && !/^\| section \|/i.test(line))
    .map((line) => {
      const [, section = '', what = '', state = ''] = line.split(/(?<!\\)\|/).map((cell) => cell.trim())
      return { heading, section, what, state }
    })
})

/** What issue 6 and the ones before it name. */
const named = [
  ...['OpenID Connect Core 1.0', 'OpenID Connect Discovery 1.0', 'OpenID Connect Dynamic Client Registration 1.0'],
  ...['OpenID Connect RP-Initiated Logout 1.0', 'OpenID Connect Back-Channel Logout 1.0', 'Form Post Response Mode'],
  ...['OAuth 2.0 Multiple Response Types', 'RFC 7517', 'RFC 7521', 'RFC 7523', 'RFC 7591', 'RFC 7592', 'RFC 8414'],
  ...['RFC 9101', 'RFC 9700', 'RFC 9728', 'RFC 7636', 'RFC 8707', 'RFC 9207'],
]

t.test('docs/specifications.md has a part for each specification', async (t) => {
  const headings = text.split('\n').filter((line) => line.startsWith('## '))
  for (const name of named)
    t.ok(
      headings.some((heading) => heading.includes(name)),
      name,
    )
})

t.test('docs/specifications.md: each row is done, with a test that there is, or says why not', async (t) => {
  t.ok(rows.length > 150, `${rows.length} rows`)
  for (const { section, what, state } of rows) {
    const name = `${section}: ${what}`
    t.match(state, /^(?:done|left out|taken, and|of the client|nothing to do|see )/, name)
    const tests = [...state.matchAll(/`(test\/[\w./-]+)`/g)].map(([, path = '']) => path)
    // What is done in another part of this page has its tests there.
    if (state.startsWith('done') && !/see below/.test(state)) t.ok(tests.length > 0, `${name}: which test shows it`)
    if (state.startsWith('left out')) t.match(state, /^left out[:,] .{5,}/, `${name}: why`)
    for (const path of tests) t.ok(existsSync(new URL(path, root)), `${name}: ${path}`)
  }
})

/**
 * The sections that a specification has, as it numbers them: `2.1-3` are 2.1, 2.2 and 2.3. Without introductions, terms, IANA
 * and examples; where a whole part is left out, without what it consists of.
 */
const sections: Readonly<Record<string, string>> = {
  'OIDC Core':
    '2 3.1.1-3 3.1.2.1-7 3.1.3.1-8 3.2 3.2.1 3.2.2.1-11 3.3 4 5.1 5.1.1-2 5.2 5.3 5.3.1-4 5.4 5.5 5.5.1 5.5.1.1 5.5.2 5.6 5.6.1-2 5.7 6 6.1-3 ' +
    '6.1.1 6.2.1-4 6.3.1-3 7 8 8.1 9 10 10.1 10.1.1 10.2 11 12 12.1-3 13 13.1-3 14 15.1-7 16.1-23 17.1-4',
  'OIDC Discovery': '2 3 4 4.1-3 5 6 7.1-2',
  'Initiating User Registration': '4 4.1-2',
  'Multiple Response Types': '2 2.1-2 3-5 7',
  'Form Post': '2 4',
  'RFC 7521': '3 4.1 4.1.1 4.2 4.2.1 5.1-2 6.1-3 6.3.1 7 8.1-4',
  'RFC 7523': '2.1-2 3 3.1-2 4-7',
  'RFC 7517': '4 4.1-9 5 5.1 6 7 9.1-4',
  'RFC 9101': '4 5 5.1-2 5.2.1-3 6.1-3 7 8 10.1-8 10.4.1-2 11.1-2 11.2.1-2',
  'RP-Initiated Logout': '2 2.1 3 3.1 4-6',
  'Back-Channel Logout': '2.1-8 3 4 4.1',
  'RFC 7591': '2 2.1-3 3 3.1 3.1.1 3.2 3.2.1-2 5 6',
  'RFC 7592': '2 2.1-3 3 5 6',
  'OIDC Registration': '2 2.1 3 3.1-3 4 4.1-4 5-7 8.1-2 9.1-3',
  CIMD: '3 4 4.1-5 5 6.1-10 6.3.1',
  'RFC 7636': '4.1-6 4.4.1 5 7.1-5',
  'RFC 8707': '2 2.1-2 3 4',
  'RFC 9207': '2 2.1-4 3 4',
  'RFC 8414': '2 2.1 3 3.1-3 4 5 6.1-4',
  'RFC 9728': '2 2.1-2 3 3.1-3 4 5 5.1-4 6 7.1-10',
  'RFC 9700':
    '2.1 2.1.1-2 2.2.1-2 2.3-6 3 4.1 4.1.1-3 4.2 4.2.1-4 4.3 4.3.1-2 4.4 4.4.1-2 4.5 4.5.1-4 4.6 4.6.1 4.7 4.7.1 4.8 4.8.1-2 4.9 ' +
    '4.9.1-3 4.10 4.10.1-3 4.11 4.11.1-2 4.12-14 4.14.1-2 4.15 4.15.1 4.16 4.17 4.17.1-2',
}

/** The same of a specification that does not number them. */
const parts = [
  ...['Overview', 'Authorization Server Discovery', 'Authorization Server Location'],
  ...['Protected Resource Metadata Discovery Requirements', 'Authorization Server Metadata Discovery'],
  ...['Client Registration', 'Client ID Metadata Documents', 'Pre-registration', 'Dynamic Client Registration'],
  ...['Authorization Server Binding', 'Scope Selection Strategy', 'Authorization Flow Steps'],
  ...['Authorization Response Validation', 'Resource Parameter Implementation', 'Access Token Usage', 'Refresh Tokens'],
  ...['Error Handling', 'Security Considerations', 'Token Audience Binding and Validation', 'Token Theft'],
  ...['Communication Security', 'Authorization Code Protection', 'Mix-Up Attacks', 'Open Redirection'],
  ...['Client ID Metadata Document Security', 'Confused Deputy Problem', 'Access Token Privilege Restriction'],
]

/** What its heading calls a specification whose rows have the number of a section alone. */
const headed: Readonly<Record<string, string>> = {
  'OpenID Connect Core': 'OIDC Core',
  'OpenID Connect Discovery': 'OIDC Discovery',
  'OpenID Connect Dynamic Client Registration': 'OIDC Registration',
  'OpenID Connect RP-Initiated Logout': 'RP-Initiated Logout',
  'OpenID Connect Back-Channel Logout': 'Back-Channel Logout',
  'draft-ietf-oauth-client-id-metadata-document': 'CIMD',
}

/** 4.1, 4.2 and 4.3 of 4.1 and 3. */
function range(first: string, last: string): readonly string[] {
  const [, before = '', from = ''] = /^(.*?)(\d+)$/.exec(first) ?? []
  return Array.from({ length: Number(last) - Number(from) + 1 }, (_, index) => `${before}${Number(from) + index}`)
}

const listed = (list: string): readonly string[] =>
  list.split(' ').flatMap((each) => {
    const [first = '', last] = each.split('-')
    return last === undefined ? [first] : range(first, last)
  })

/** Of the cell of a row: `RFC 7521 §4.1, §4.1.1`, `§4.6 to §4.9`. */
function citedIn({ heading, section }: Row): readonly string[] {
  const [head = ''] = Object.keys(headed).filter((each) => heading.startsWith(each))
  let of = headed[head] ?? /^RFC \d+/.exec(heading)?.[0] ?? ''
  const names = Object.keys(sections).join('|')
  const citation = new RegExp(`(?:(${names}) )?§([\\d.]*\\d)(?: to §(?:\\d+\\.)*(\\d+))?`, 'g')
  return [...section.matchAll(citation)].flatMap(([, name, first = '', last]) => {
    of = name ?? of
    return (last === undefined ? [first] : range(first, last)).map((each) => `${of} §${each}`)
  })
}

t.test('docs/specifications.md: each section has a row, and each row is of a section that there is', async (t) => {
  const all = Object.entries(sections).flatMap(([of, list]) => listed(list).map((each) => `${of} §${each}`))
  t.ok(all.length > 350, `${all.length} sections`)
  const cited = new Set(rows.flatMap(citedIn))
  t.same(
    all.filter((each) => !cited.has(each)),
    [],
    'these have no row',
  )
  t.same(
    [...cited].filter((each) => !all.includes(each)),
    [],
    'there are none of these',
  )

  const named = rows.filter(({ heading }) => heading.startsWith('Model Context Protocol'))
  t.same(new Set(named.flatMap(({ section }) => section.split(/[:,] /))), new Set(parts))
})
