/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.printshop;

import java.util.Optional;

/** The stages that a plate goes through in the printshop, in their usual order. */
public enum PlateState {
  /** The plate is engraved. */
  ENGRAVED(true),
  /** The plate is inked. */
  INKED(true),
  /** The plate is printed. */
  PRINTED(false),
  /** The plate is melted. */
  MELTED(false);

  private final boolean open;

  PlateState(boolean open) {
    this.open = open;
  }

  /** Tells whether somebody still has to act on a plate in this stage. */
  public boolean isOpen() {
    return open;
  }

  /**
   * Finds the stage of a plate that usually follows; the whole way is engraved, inked, printed, melted.
   *
   * @return the next stage of the plate, or nothing once it is melted
   */
  public Optional<PlateState> next() {
    PlateState[] plateStates = values();
    int following = ordinal() + 1;
    return following < plateStates.length ? Optional.of(plateStates[following]) : Optional.empty();
  }
}
