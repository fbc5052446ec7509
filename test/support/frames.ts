const LINE_END = Buffer.from('\r\n');

/** What a server sends to a client, cut into messages of the NATS protocol: whole ones, whatever the packets were. */
export class FrameCutter {
  private rest: Buffer = Buffer.alloc(0);

  push(data: Buffer): Buffer[] {
    this.rest = this.rest.length === 0 ? data : Buffer.concat([this.rest, data]);
    const frames: Buffer[] = [];
    for (;;) {
      const length = frameLength(this.rest);
      if (length === undefined || length > this.rest.length) return frames;
      frames.push(this.rest.subarray(0, length));
      this.rest = this.rest.subarray(length);
    }
  }
}

/** Undefined while its first line is not there in full. */
function frameLength(data: Buffer): number | undefined {
  const end = data.indexOf(LINE_END);
  if (end < 0) return undefined;
  const line = data.subarray(0, end + 2);
  if (!/^H?MSG /i.test(line.subarray(0, 5).toString('latin1'))) return line.length;
  const size = Number(line.toString('latin1').trim().split(/\s+/).at(-1));
  return line.length + size + 2;
}

/** The subject of a message to a subscriber; undefined if the frame is something else. */
export function subjectOf(frame: Buffer): string | undefined {
  return /^H?MSG\s+(\S+)/i.exec(frame.subarray(0, 300).toString('latin1'))?.[1];
}
