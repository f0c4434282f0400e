// What pages share: the document around them, their parts, their style, their words, and the two pages that belong to
// no feature (error and home). Text that comes from others is shown through displayName, displayHost and displayText.

export {
  Alert,
  ClientName,
  CsrfToken,
  ExternalLink,
  Host,
  type Stranger,
  StrangerMark,
  StrangersHosts,
  Time,
} from './components.js'
export { displayHost, displayName, displayText, timeText, webHref } from './display.js'
export { ErrorPage, type ErrorPageProps } from './error.page.js'
export { Choices, type ChoicesProps, TextField, type TextFieldProps } from './fields.js'
export { HomePage, type HomePageProps } from './home.page.js'
export { Lock, LockedTick, Mark } from './mark.js'
export {
  type ApiKeyStateName,
  apiKeyEndText,
  apiKeyStateText,
  claimMeaning,
  durationText,
  type ErrorText,
  errorTexts,
  headerMeaning,
  type LoginFailure,
  loginFailureMessage,
  scopeSentence,
} from './messages.js'
export { Page, type PageProps, renderPage, SubmitItself } from './page.js'
