/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.orchestra;

import java.time.LocalDate;
import java.util.LinkedHashSet;
import java.util.Set;

/** The paper form by which a part is asked for; it has grown with every wish of the orchestra. */
public class PartForm {

  String desk;
  String section;
  String applicant;
  String telephone;
  String remarks;
  int bars;
  LocalDate wantedFrom;

  PartForm(
      String desk, String section, String applicant, String telephone, String remarks, int bars,
      LocalDate wantedFrom) {
    this.desk = desk;
    this.section = section;
    this.applicant = applicant;
    this.telephone = telephone;
    this.remarks = remarks;
    this.bars = bars;
    this.wantedFrom = wantedFrom;
  }

  public String getApplicant() {
    return applicant;
  }

  public void setApplicant(String applicant) {
    this.applicant = applicant;
  }

  public boolean isComplete() {
    return desk != null && section != null && applicant != null && wantedFrom != null;
  }

  public Part toEntry(LocalDate today) {
    LocalDate first = wantedFrom.isBefore(today) ? today : wantedFrom;
    return new Part(desk, section, bars, first);
  }

  public String summary() {
    return "%s wants %d bars in %s".formatted(applicant, bars, section);
  }

  public Set<String> missing() {
    Set<String> names = new LinkedHashSet<>();
    if (desk == null) {
      names.add("desk");
    }
    if (section == null) {
      names.add("section");
    }
    if (applicant == null) {
      names.add("applicant");
    }
    return names;
  }
}
