import type { Db } from './database.js'

/** Facts about this installation. */
export type SettingName = 'demo' | 'revocation_receivers' | 'notice_destinations'

export async function find(db: Db, name: SettingName): Promise<unknown> {
  const [row] = await db.query('settings.find', 'SELECT value FROM setting WHERE name = $1', [name])
  return row?.['value'] ?? undefined
}

/** @returns false when it is set already: of concurrent callers exactly one gets true */
export async function create(db: Db, name: SettingName, value: object): Promise<boolean> {
  const count = await db.prisma.$executeRaw`
    INSERT INTO setting (name, value) VALUES (${name}, ${JSON.stringify(value)}::jsonb) ON CONFLICT (name) DO NOTHING`
  return count === 1
}

/** Sets it, whatever it was. */
export async function put(db: Db, name: SettingName, value: object): Promise<void> {
  await db.query(
    'settings.put',
    `INSERT INTO setting (name, value) VALUES ($1, $2::jsonb)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE setting.value <> excluded.value`,
    [name, JSON.stringify(value)],
  )
}
