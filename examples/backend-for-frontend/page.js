const [status, list, form, signIn, signOut] = ['[role=status]', 'ul', 'form', 'a', '#sign-out'].map((selector) =>
  document.querySelector(selector),
)

const ask = (path, init) => fetch(path, { ...init, headers: { 'x-csrf': '1', 'content-type': 'application/json' } })

async function show() {
  const answer = await ask('/api/orders')
  const { orders = [], for: user } = answer.ok ? await answer.json() : {}
  status.textContent = answer.ok ? `Of ${user}` : answer.status === 401 ? 'Nobody is signed in.' : 'That did not work.'
  list.replaceChildren(...orders.map(({ item }) => Object.assign(document.createElement('li'), { textContent: item })))
  signIn.hidden = answer.status !== 401
  form.hidden = signOut.hidden = !answer.ok
}

form.addEventListener('submit', async (event) => {
  event.preventDefault()
  await ask('/api/orders', { method: 'POST', body: JSON.stringify({ item: form.item.value }) })
  form.reset()
  await show()
})
signOut.addEventListener('click', async () => {
  await ask('/logout', { method: 'POST', body: '{}' })
  await show()
})
await show()
