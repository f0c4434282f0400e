import t from 'tap'
import { cannotRun } from './support/form.js'
import type { History, ModelName, Operation } from './support/history.js'
import { check } from './support/linearizability.js'
import { askPorcupine } from './support/porcupine.js'

type Step = readonly [
  invoked: number,
  returned: number | undefined,
  what: Omit<Operation, 'client' | 'invoked' | 'returned'>,
]

function history(model: ModelName, key: string, ...steps: readonly Step[]): History {
  return {
    model,
    key,
    operations: steps.map(([invoked, returned, what], index) => ({
      client: `client ${index}`,
      invoked,
      returned,
      ...what,
    })),
  }
}

const redeemed = (gives: string) => ({ name: 'redeem', answer: 'ok', gives }) as const
const redeemRefused = { name: 'redeem', answer: 'refused' } as const
const redeemLost = { name: 'redeem' } as const
const refreshed = (token: string, gives: string, variant = '') =>
  ({ name: 'refresh', token, variant, answer: 'ok', gives }) as const
const refreshRefused = (token: string, variant = '') =>
  ({ name: 'refresh', token, variant, answer: 'refused' }) as const
const refreshLost = (token: string) => ({ name: 'refresh', token, variant: '' }) as const
const revoked = { name: 'revoke', answer: 'ok' } as const
const revokeLost = { name: 'revoke' } as const
const active = { name: 'introspect', answer: 'active' } as const
const inactive = { name: 'introspect', answer: 'inactive' } as const
const wrong = { name: 'guess', answer: 'wrong' } as const
const held = { name: 'guess', answer: 'held' } as const
const perhaps = { late: 'perhaps' } as const
const certainly = { late: 'certainly' } as const
const guessLost = { name: 'guess' } as const

const many = (count: number, step: (index: number) => Step): readonly Step[] =>
  Array.from({ length: count }, (_, index) => step(index))

const good: readonly History[] = [
  history(
    'grant',
    'one after the other',
    [0, 1, redeemed('a')],
    [2, 3, refreshed('a', 'b')],
    [4, 5, refreshed('b', 'c')],
  ),
  history('grant', 'a code in two hands, at once', [0, 9, redeemRefused], [1, 8, redeemed('a')], [10, 11, inactive]),
  history(
    'grant',
    'a lost redemption that was done',
    [0, undefined, redeemLost],
    [5, 6, redeemRefused],
    [7, 8, redeemRefused],
  ),
  history(
    'grant',
    'a lost redemption that was not done',
    [0, undefined, redeemLost],
    [5, 6, redeemed('a')],
    [7, 8, active],
  ),
  history(
    'grant',
    'a retry gets the same answer',
    [0, 1, redeemed('a')],
    [2, undefined, refreshLost('a')],
    [3, 9, refreshed('a', 'b')],
    [4, 8, refreshed('a', 'b')],
    [10, 11, refreshed('b', 'c')],
  ),
  history(
    'grant',
    'a retry when its successor was used',
    [0, 1, redeemed('a')],
    [2, 3, refreshed('a', 'b')],
    [4, 5, refreshed('b', 'c')],
    [6, 7, refreshRefused('a')],
    [8, 9, refreshRefused('c')],
  ),
  history(
    'grant',
    'another request with a spent token',
    [0, 1, redeemed('a')],
    [2, 3, refreshed('a', 'b')],
    [4, 5, refreshRefused('a', 'narrow')],
    [6, 7, inactive],
  ),
  history(
    'grant',
    'a lost revocation may come late',
    [0, 1, redeemed('a')],
    [2, undefined, revokeLost],
    [3, 4, active],
    [5, 6, inactive],
  ),
  history(
    'grant',
    'a lost revocation may never come',
    [0, 1, redeemed('a')],
    [2, undefined, revokeLost],
    [3, 4, active],
  ),
  history(
    'grant',
    'asked while it is revoked',
    [0, 1, redeemed('a')],
    [2, 9, revoked],
    [3, 4, active],
    [5, 6, inactive],
    [7, 8, inactive],
  ),
  history('grant', 'all lost', ...many(200, () => [0, undefined, redeemLost])),
  history('grant', 'two hundred at once', ...many(199, (index) => [index / 1000, 50 - index / 1000, redeemRefused]), [
    25,
    26,
    redeemed('a'),
  ]),
  history(
    'grant',
    'two hundred retries at once',
    [0, 1, redeemed('a')],
    ...many(200, (index) => [2, 3 + index, refreshed('a', 'b')]),
  ),
  history(
    'grant',
    'a code that is over by one clock and good by another',
    [0, 1, { ...redeemRefused, ...certainly }],
    [2, 3, redeemed('a')],
    [4, 5, { ...redeemRefused, ...certainly }],
    [6, 7, inactive],
  ),
  history('grant', 'a code that may be over', [0, 1, { ...redeemed('a'), ...perhaps }], [2, 3, active]),
  history(
    'grant',
    'a retry behind its window ends the grant',
    [0, 1, redeemed('a')],
    [2, 3, refreshed('a', 'b')],
    [4, 5, { ...refreshRefused('a'), ...perhaps }],
    [6, 7, refreshRefused('b')],
  ),
  history(
    'grant',
    'a lost retry behind its window may have ended the grant',
    [0, 1, redeemed('a')],
    [2, 3, refreshed('a', 'b')],
    [4, undefined, { ...refreshLost('a'), ...perhaps }],
    [6, 7, inactive],
  ),
  history(
    'grant',
    'an access token that is over, by one clock',
    [0, 1, redeemed('a')],
    [2, 3, { ...inactive, ...certainly }],
    [4, 5, active],
  ),
  history('token', 'over, by one clock', [0, 1, { ...inactive, ...perhaps }], [2, 3, active]),
  history('token', 'revoked', [0, 1, active], [2, 3, revoked], [4, 5, inactive]),
  history(
    'failures',
    'ten and no more',
    ...many(10, (index) => [index, index + 20, wrong]),
    [5, 50, held],
    [60, 61, held],
  ),
  history(
    'failures',
    'a lost one may have counted',
    ...many(9, (index) => [index, index + 1, wrong]),
    [20, undefined, guessLost],
    [30, 31, held],
  ),
]

const bad: readonly History[] = [
  history('grant', 'a code redeemed twice', [0, 1, redeemed('a')], [2, 3, redeemed('b')]),
  history('grant', 'a code redeemed twice, at once', [0, 9, redeemed('a')], [1, 8, redeemed('b')]),
  history('grant', 'a code refused that nobody used', [0, 1, redeemRefused], [2, 3, redeemed('a')]),
  history(
    'grant',
    'refreshed after an answered revocation',
    [0, 1, redeemed('a')],
    [2, 3, revoked],
    [4, 5, refreshed('a', 'b')],
  ),
  history('grant', 'two successors', [0, 1, redeemed('a')], [2, 9, refreshed('a', 'b')], [3, 8, refreshed('a', 'c')]),
  history(
    'grant',
    'a retry that was refused',
    [0, 1, redeemed('a')],
    [2, undefined, refreshLost('a')],
    [3, 4, refreshRefused('a')],
  ),
  history(
    'grant',
    'a lost refresh whose retry gets a second successor',
    [0, 1, redeemed('a')],
    [2, 3, refreshed('a', 'b')],
    [4, undefined, refreshLost('a')],
    [5, 6, refreshed('a', 'c')],
  ),
  history(
    'grant',
    'a spent token that is good again',
    [0, 1, redeemed('a')],
    [2, 3, refreshed('a', 'b')],
    [4, 5, refreshed('b', 'c')],
    [6, 7, refreshed('a', 'b')],
  ),
  history(
    'grant',
    'a refresh token that was lost',
    [0, 1, redeemed('a')],
    [2, 3, refreshed('a', 'b')],
    [4, 5, refreshRefused('b')],
  ),
  history(
    'grant',
    'another request with a spent token gets the answer',
    [0, 1, redeemed('a')],
    [2, 3, refreshed('a', 'b')],
    [4, 5, refreshed('a', 'b', 'narrow')],
  ),
  history('grant', 'active after an answered revocation', [0, 1, redeemed('a')], [2, 3, revoked], [4, 5, active]),
  history('grant', 'inactive without a reason', [0, 1, redeemed('a')], [2, 3, inactive]),
  history(
    'grant',
    'a revocation that is forgotten again',
    [0, 1, redeemed('a')],
    [2, 9, revoked],
    [3, 4, inactive],
    [5, 6, active],
  ),
  history('grant', 'a code that is over', [0, 1, { ...redeemed('a'), ...certainly }]),
  history(
    'grant',
    'a code that is over, and was spent',
    [0, 1, redeemed('a')],
    [2, 3, { ...redeemRefused, ...certainly }],
    [4, 5, active],
  ),
  history(
    'grant',
    'a retry behind its window, and the grant goes on',
    [0, 1, redeemed('a')],
    [2, 3, refreshed('a', 'b')],
    [4, 5, { ...refreshRefused('a'), ...perhaps }],
    [6, 7, refreshed('b', 'c')],
  ),
  history('token', 'active behind its end', [0, 1, { ...active, ...certainly }]),
  history('token', 'revoked, and active where it may be over', [0, 1, revoked], [2, 3, { ...active, ...perhaps }]),
  history('token', 'active again', [0, 1, revoked], [2, 3, active]),
  history('token', 'lost by itself', [0, 1, active], [2, 3, inactive]),
  history('failures', 'eleven', ...many(11, (index) => [index, index + 1, wrong])),
  history('failures', 'eleven, at once', ...many(11, () => [0, 100, wrong])),
  history('failures', 'held back too early', ...many(9, (index) => [index, index + 1, wrong]), [20, 21, held]),
  history(
    'failures',
    'one more after it was held back',
    ...many(10, (index) => [index, index + 1, wrong]),
    [20, 21, held],
    [22, 23, wrong],
  ),
]

t.test('the checker finds an order where there is one', async (t) => {
  for (const each of good) t.equal(check(each), 'linearizable', each.key)
})

t.test('the checker finds none where there is none', async (t) => {
  for (const each of bad) t.equal(check(each), 'not linearizable', each.key)
})

t.test('porcupine comes to the same', async (t) => {
  const opinion = await askPorcupine([...good, ...bad])
  if (opinion.skipped !== undefined) return cannotRun(t, 'porcupine', opinion.skipped)
  t.same(
    opinion.failed,
    bad.map(({ model, key }) => `${model} ${key}: Illegal`),
  )
})
