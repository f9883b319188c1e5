/** Whether an HTTP status is about load, or of something in front of a server, and not about the request: the same request may succeed later. */
export function mayPass(status: number): boolean {
  return status >= 500 || status === 408 || status === 429;
}
