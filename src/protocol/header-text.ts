/** Text from a peer that is sent in a header: a session id, an event id, an address. */

/** Longest value that is accepted. */
const MAX_TEXT = 1024;
/** Visible ASCII with inner spaces. Anything else cannot be sent, or would arrive changed. */
const TEXT = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;

/** Whether `text` can be sent in a header unchanged. If not, it counts as absent. */
export function isHeaderText(text: string): boolean {
  return text.length <= MAX_TEXT && TEXT.test(text);
}
