import t from 'tap'
import { clientMetadataNames } from '../../../src/clients/index.js'
import { registrable, serverSet } from '../../../src/protocol/registration/index.js'

t.test('attack 94: of every field of the metadata it was decided whether a client may set it', async (t) => {
  t.same(
    clientMetadataNames.filter((name) => !registrable.has(name) && !serverSet.has(name)),
    [],
    'one that is in neither list is ignored',
  )
  t.same(
    [...registrable].filter((name) => serverSet.has(name) || !clientMetadataNames.includes(name)),
    [],
  )
})
