// Small line drawings of our own: one path each, in the colour of the text around them.

const PATHS = {
  menu: "M4 7h16M4 12h16M4 17h16",
  plus: "M12 5v14M5 12h14",
  search: "M11 4a7 7 0 1 1 0 14a7 7 0 0 1 0-14zM16 16l4 4",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M7 7h10v10H7z",
  copy: "M9 9h10v10H9zM5 15V5h10",
  check: "M5 12l5 5 9-10",
  edit: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  again: "M19 12a7 7 0 1 1-2-5M19 4v4h-4",
  left: "M14 6l-6 6 6 6",
  right: "M10 6l6 6-6 6",
  more: "M6 12h.01M12 12h.01M18 12h.01",
  close: "M6 6l12 12M18 6L6 18",
  sliders: "M5 8h8M17 8h2M15 6v4M5 16h2M11 16h8M9 14v4",
  play: "M8 6l10 6-10 6z",
  trash: "M5 7h14M9 7V5h6v2M7 7l1 12h8l1-12",
  help: "M9 9a3 3 0 1 1 4 3c-1 .5-1 1-1 2M12 17h.01",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 100 100" aria-hidden="true" focusable="false">
      <circle cx="50" cy="52" r="26" />
      <path d="M50 8v88" />
    </svg>
  );
}

interface ButtonProps {
  icon: IconName;
  label: string;
  onClick: () => void;
  class?: string;
  disabled?: boolean;
  shows?: boolean;
  pressed?: boolean;
}

/** A button with a drawing; its label is read, and written too if it `shows`. */
export function IconButton({ icon, label, onClick, disabled, shows, pressed, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      class={`icon-button ${rest.class ?? ""}`}
      aria-label={shows ? undefined : label}
      aria-expanded={pressed}
      title={shows ? undefined : label}
      disabled={disabled}
      onClick={onClick}
    >
      <Icon name={icon} />
      {shows && <span>{label}</span>}
    </button>
  );
}
