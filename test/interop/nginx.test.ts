import t from 'tap'
import { askThrough, testBehindGateway } from '../support/behind-gateway.js'
import { skip, startNginx } from '../support/nginx.js'

t.test('attack 123: an API behind nginx, configured as docs/gateways/nginx.conf says', { skip }, async (t) => {
  const port = await testBehindGateway(t, { start: startNginx, tellsOfSuccess: true, away: 503 })
  t.equal((await askThrough(port, {}, '/_gateway')).status, 404, 'it is for nginx alone')
})
