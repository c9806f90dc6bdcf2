/** A function, as the account sees it. */
export interface AccountMember {
  /** When its longest unused process was last used; undefined when none is unused. */
  readonly idleSince: number | undefined;
  /** Ends that process. It no longer counts. */
  endIdle(): void;
}

/** A limit of execution environments (processes) that all functions share, however many invocations each takes. */
export interface AccountConcurrency {
  join(member: AccountMember): void;
  /** Room for one more process, if need be in place of an unused one. False when all are busy. */
  acquire(): boolean;
  /** A process is gone. */
  release(): void;
}

export function accountConcurrency(limit: number): AccountConcurrency {
  const members: AccountMember[] = [];
  let processes = 0;
  return {
    join(member) {
      members.push(member);
    },
    acquire() {
      if (processes >= limit) {
        const idle = members.filter((member) => member.idleSince !== undefined);
        idle.sort((a, b) => (a.idleSince ?? 0) - (b.idleSince ?? 0))[0]?.endIdle();
      }
      if (processes >= limit) return false;
      processes++;
      return true;
    },
    release() {
      processes--;
    },
  };
}
