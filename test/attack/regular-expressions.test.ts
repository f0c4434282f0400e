import { readdirSync, readFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { costOf, expressionsIn } from '../support/regular-expressions.js'

const sources = fileURLToPath(new URL('../../src', import.meta.url))

t.test('attack 132: the measure tells traps from others', async (t) => {
  for (const trap of [/^(a+)+$/, /^(a|a)*$/, /^(\w+\s?)*$/, /^(?:[a-z]+-?)+$/, /(x+x+)+y/, /^(?:a?){60}a{60}$/]) {
    t.ok(costOf(trap).growth > 6, `${trap}: ${costOf(trap).growth}`)
  }
  for (const quadratic of [/\s+$/, /a+b/, /^\s*\w*\s*\w*$/]) {
    const { growth } = costOf(quadratic)
    t.ok(growth > 2.5 && growth <= 9, `${quadratic}: ${growth}`)
  }
  for (const linear of [
    /^a+$/,
    /^[a-z]+(?:-[a-z]+)*$/,
    /^(?:[^"\\]|\\.)*$/,
    /^\d{1,6}$/,
    /a/,
    /^a*b*c*$/,
    /^(?!x)\p{L}+$/u,
  ]) {
    t.ok(costOf(linear).growth <= 2.5, `${linear}: ${costOf(linear).growth}`)
  }
})

/** Read no input of strangers: Prisma's generated code, the operator's settings, our own style sheet. */
const exempt = ['store/prisma/', 'platform/config/', 'ui/style.ts']

/** These make one at run time, of the server's own words. */
const madeAtRunTime: readonly string[] = ['platform/crypto/password.ts']

t.test('attack 132: no regular expression of the sources can be made slow', async (t) => {
  let count = 0
  for (const name of readdirSync(sources, { recursive: true, encoding: 'utf8' }).sort()) {
    const file = name.split(sep).join('/')
    if (!/\.tsx?$/.test(file) || exempt.some((start) => file.startsWith(start))) continue
    for (const { expression, line } of expressionsIn(file, readFileSync(join(sources, name), 'utf8'))) {
      if (!expression) {
        t.ok(madeAtRunTime.includes(file), `${file}:${line} is made at run time`)
        continue
      }
      count++
      const { growth, worst } = costOf(expression)
      t.ok(growth <= 2.5, `${file}:${line} ${expression}`, { growth, worst })
    }
  }
  t.ok(count > 50, `${count} were read`)
})
