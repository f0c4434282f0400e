import t from 'tap'
import { askThrough, testBehindFront, testBehindGateway } from '../support/behind-gateway.js'
import { skip, startNginx } from '../support/nginx.js'

const proxy = { start: startNginx, tellsOfSuccess: true, saysAddress: true, away: 503 } as const

t.test('attack 123: an API behind nginx, configured as docs/gateways/nginx.conf says', { skip }, async (t) => {
  const port = await testBehindGateway(t, proxy)
  t.equal((await askThrough(port, {}, '/_gateway')).status, 404, 'it is for nginx alone')
})

t.test('attack 101: nginx in front of the server as well, which appends or writes over', { skip }, (t) =>
  testBehindFront(t, proxy),
)
