import { defineConfig } from 'prisma/config'

/**
 * For Prisma's command line alone (`generate`, and `migrate` by whoever writes migrations). The server reads neither
 * this file nor `DATABASE_URL` through it: it applies the migrations itself and hands Prisma its own pool.
 */
export default defineConfig({
  schema: 'prisma/schema',
  migrations: { path: 'prisma/migrations' },
  // `env()` of prisma/config would fail where the variable is missing, and `generate` needs no database.
  datasource: { url: process.env.DATABASE_URL ?? 'postgresql://localhost/ostiary' },
})
