/** Text of a peer on its way into a header: a session id, an event id, an address. */

/** Longest value that is taken. */
const MAX_TEXT = 1024;
/** Visible ASCII, spaces only between: anything else could not be sent, or would arrive as something else. */
const TEXT = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;

/** Whether `text` can stand in a header as it is. What cannot counts as absent. */
export function isHeaderText(text: string): boolean {
  return text.length <= MAX_TEXT && TEXT.test(text);
}
