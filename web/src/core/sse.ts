// Server-sent events out of bytes that arrive in any pieces: a character, a line or an event may be cut anywhere.

export class EventReader {
  private readonly decoder = new TextDecoder();
  private rest = "";
  private data: string[] = [];

  /** The data of every event that these bytes complete. */
  push(bytes: Uint8Array): string[] {
    return this.read(this.decoder.decode(bytes, { stream: true }), false);
  }

  /** The data of an event that the end of the stream completes. */
  end(): string[] {
    const events = this.read(this.decoder.decode(), true);
    if (this.data.length) events.push(this.data.join("\n"));
    this.data = [];
    return events;
  }

  private read(text: string, isEnd: boolean): string[] {
    const events: string[] = [];
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop() ?? "";
    if (isEnd && this.rest) {
      lines.push(this.rest.replace(/\r$/, ""));
      this.rest = "";
    }
    for (const line of lines) {
      if (line === "") {
        if (this.data.length) events.push(this.data.join("\n"));
        this.data = [];
      } else if (line.startsWith("data:")) {
        this.data.push(line.slice(line[5] === " " ? 6 : 5));
      }
    }
    return events;
  }
}
