export interface Schemas {
  /** Method to the name of its request or notification. */
  readonly names: ReadonlyMap<string, string>;
  /**
   * The faults of a value by the schemas of these names that there are; undefined: none. A fault is where (the last key, not its
   * place in lists) and what.
   */
  validate(names: readonly string[], value: unknown): string[] | undefined;
}

export interface Judgement {
  readonly judged: number;
  readonly unknown: number;
  readonly excused: number;
  readonly problems: readonly object[];
}

export function judge(folder: string, schemasOf: (revision: string) => Schemas): Judgement;
export function describe(judgement: Judgement): string;
