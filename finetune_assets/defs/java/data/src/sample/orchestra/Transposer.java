/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.orchestra;

import java.util.Arrays;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.stream.Collectors;

/** Moves written notes for instruments that sound another note than they read. */
public class Transposer {

  private static final List<String> NOTES =
      List.of("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B");

  /** The instruments of the orchestra that transpose, with the half-tones by which they sound lower. */
  public enum Instrument {
    CLARINET_IN_A(3),
    CLARINET_IN_B_FLAT(2),
    HORN_IN_F(7),
    TRUMPET_IN_D(-2);

    final int lower;

    Instrument(int lower) {
      this.lower = lower;
    }
  }

  /**
   * Finds what a player must read for a note to sound.
   *
   * @param sounding the note that the audience hears, with a sharp where needed
   * @param instrument who plays it
   * @return the note to write
   * @throws NoSuchElementException for a note that is not in the scale
   */
  public String written(String sounding, Instrument instrument) {
    int place = NOTES.indexOf(sounding);
    if (place < 0) {
      throw new NoSuchElementException("no such note: " + sounding);
    }
    return NOTES.get(Math.floorMod(place + instrument.lower, NOTES.size()));
  }

  /** Copies a whole line of notes for one instrument, a space between two notes. */
  public String writtenLine(String line, Instrument instrument) {
    return Arrays.stream(line.split(" +"))
        .map(note -> written(note, instrument))
        .collect(Collectors.joining(" "));
  }
}
