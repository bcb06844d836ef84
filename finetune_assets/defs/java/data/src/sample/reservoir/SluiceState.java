/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.reservoir;

import java.util.Optional;

/** The stages that a sluice goes through in the reservoir, in their usual order. */
public enum SluiceState {
  /** The sluice is shut. */
  SHUT(true),
  /** The sluice is opening. */
  OPENING(true),
  /** The sluice is open. */
  OPEN(true),
  /** The sluice is jammed. */
  JAMMED(false);

  private final boolean open;

  SluiceState(boolean open) {
    this.open = open;
  }

  /** Tells whether somebody still has to act on a sluice in this stage. */
  public boolean isOpen() {
    return open;
  }

  /**
   * Finds the stage of a sluice that usually follows; the whole way is shut, opening, open, jammed.
   *
   * @return the next stage of the sluice, or nothing once it is jammed
   */
  public Optional<SluiceState> next() {
    SluiceState[] sluiceStates = values();
    int following = ordinal() + 1;
    return following < sluiceStates.length ? Optional.of(sluiceStates[following]) : Optional.empty();
  }
}
