/**
 * Runs concurrent code through all its interleavings. Processes are ordinary async functions that reach the world only
 * through `gate`: a call waits there until the search lets it happen, and it happens at once. The search goes through
 * every order of these calls, and through deaths and repetitions as far as it is allowed to, by running from the
 * beginning again for each; a state that was seen (the same world, each process with the same past) isn't gone into twice.
 */

export interface Process {
  readonly name: string;
  /** What it has been told so far: two processes with the same past go on in the same way. */
  readonly past: string[];
  pending: { readonly happen: () => void } | undefined;
  done: boolean;
}

export type Gate = <T>(what: string, effect: () => T) => Promise<T>;

export interface Action {
  readonly name: string;
  act(): void;
}

export interface System {
  /** What can happen next, besides steps of the running processes. */
  actions(): Action[];
  /** What there is apart from the processes; JSON. */
  state(): unknown;
  /** Called in every state. @throws when something is wrong with it */
  check(): void;
  /** Called in every state where nothing can happen any more. @throws */
  checkEnd(): void;
}

export class Processes {
  readonly all: Process[] = [];

  start(name: string, body: (gate: Gate, self: Process) => Promise<void>, ended: (error?: unknown) => void): Process {
    const self: Process = { name, past: [], pending: undefined, done: false };
    const gate: Gate = (what, effect) =>
      new Promise((resolve, reject) => {
        const happen = (): void => {
          self.pending = undefined;
          try {
            const value = effect();
            self.past.push(`${what}=${JSON.stringify(value)}`);
            resolve(value);
          } catch (error) {
            self.past.push(`${what}!`);
            reject(error);
          }
        };
        self.pending = { happen };
      });
    this.all.push(self);
    body(gate, self).then(
      () => this.#ended(self, ended),
      (error: unknown) => this.#ended(self, ended, error),
    );
    return self;
  }

  /** It dies: nothing that it would have done happens. */
  kill(process: Process): void {
    process.pending = undefined;
    process.done = true;
    this.all.splice(this.all.indexOf(process), 1);
  }

  #ended(process: Process, ended: (error?: unknown) => void, error?: unknown): void {
    if (process.done) return;
    process.done = true;
    this.all.splice(this.all.indexOf(process), 1);
    ended(error);
  }

  /** Until every process waits at its gate, or is done. */
  async settled(): Promise<void> {
    for (let turn = 0; this.all.some((each) => each.pending === undefined); turn++) {
      if (turn > 1000) throw new Error('a process waits for something that is no gate');
      await undefined;
    }
  }
}

export interface Explored {
  readonly states: number;
  readonly ends: number;
}

/** @throws the first violation, with the way that leads to it */
export async function explore(create: (processes: Processes) => System): Promise<Explored> {
  const seen = new Set<string>();
  let ends = 0;
  const paths: number[][] = [[]];
  for (let path = paths.pop(); path !== undefined; path = paths.pop()) {
    const processes = new Processes();
    const system = create(processes);
    const way: string[] = [];
    try {
      await processes.settled();
      for (const choice of path) {
        const action = enabled(system, processes)[choice];
        if (action === undefined) throw new Error('the code under test is not deterministic');
        way.push(action.name);
        action.act();
        await processes.settled();
        system.check();
      }
      const key = JSON.stringify([system.state(), processes.all.map(({ name, past }) => [name, past]).sort()]);
      if (seen.has(key)) continue;
      seen.add(key);
      const next = enabled(system, processes);
      if (next.length === 0) {
        ends++;
        system.checkEnd();
      }
      for (const index of next.keys()) paths.push([...path, index]);
    } catch (error) {
      throw new Error(`after ${way.join(' → ')}: ${error instanceof Error ? error.message : error}`, { cause: error });
    }
  }
  return { states: seen.size, ends };
}

function enabled(system: System, processes: Processes): Action[] {
  const steps = processes.all.flatMap((process) => {
    const { pending } = process;
    return pending === undefined ? [] : [{ name: process.name, act: () => pending.happen() }];
  });
  return [...steps, ...system.actions()];
}
