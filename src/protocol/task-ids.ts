/**
 * Ids of tasks as modern clients of a fleet see them: they lead to the replica that has the task, and prove whose it is, so that another
 * one can go on with it.
 */
export interface TaskIds {
  /** The id of a task that was made here. */
  show(task: NamedTask): string;
  /** undefined: no replica gave the id to this principal on this endpoint. */
  open(shown: string, whose: TaskAsker): OpenedTaskId | undefined;
}

export interface NamedTask {
  /** As an endpoint of this gateway without a fleet names it. */
  readonly id: string;
  /** The id of its principal. */
  readonly principal: string;
  /** The server of the endpoint; undefined: a merged one. */
  readonly server: string | undefined;
  /** The tool that made it, as its server calls it; undefined: not known. */
  readonly tool: string | undefined;
}

/** Who asks for a task, and where. */
export type TaskAsker = Pick<NamedTask, 'principal' | 'server'>;

export interface OpenedTaskId extends Pick<NamedTask, 'id' | 'tool'> {
  /** The replica that made the task: this one, another one, or one that is gone. */
  readonly home: 'here' | 'elsewhere' | 'gone';
}
