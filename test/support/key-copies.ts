import { sql, type TestServer } from './server.js'

/** Copies an API key so many times, with ids of their own and one position: rows that nobody has the text of. */
export async function copyKeys(server: TestServer, id: string, times: number): Promise<void> {
  const rows = await sql(
    server,
    `SELECT column_name AS name FROM information_schema.columns WHERE table_name = 'api_key' ORDER BY ordinal_position`,
  )
  const columns = rows.map(({ name }) => String(name))
  const values = columns.map((name) => (name === 'id' ? `left(md5(k.id || n), 16)` : `k.${name}`))
  await sql(
    server,
    `INSERT INTO api_key (${columns}) SELECT ${values} FROM api_key k, generate_series(1, $2::int) n WHERE k.id = $1`,
    [id, times],
  )
}
