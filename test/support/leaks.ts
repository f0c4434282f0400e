import { sql, type TestServer } from './server.js'

/** Every spelling in which a value may have been written down. */
export function spellings(value: string): readonly string[] {
  const bytes = Buffer.from(value)
  // Base64 of a longer text that holds it: three ways to be aligned, without the characters that its neighbours share.
  const within = [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .replace(/=+$/, '')
    return text.slice(before === 0 ? 0 : before + 1, -2)
  })
  const base64Url = within.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'))
  const plain = [value, encodeURIComponent(value), encodeURIComponent(value).replaceAll('%20', '+')]
  const escaped = JSON.stringify(value).slice(1, -1)
  const hex = bytes.toString('hex')
  return [...new Set([...plain, escaped, ...within, ...base64Url, hex, hex.toUpperCase()])]
}

/** Everything in the database as text: binary columns in hexadecimal. */
export async function dump(server: TestServer): Promise<string> {
  const tables = await sql(
    server,
    `SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`,
  )
  const texts = await Promise.all(
    tables.map(async ({ relname }) => {
      const rows = await sql(server, `SELECT row_to_json(x)::text AS text FROM "${relname}" x`)
      return rows.map(({ text }) => text).join('\n')
    }),
  )
  return texts.join('\n')
}
